"""Which files of a model are loaded, and which are refused: from names and headers, without torch."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from common.domain.models.model_files import ModelFiles
from common.model_files.local_model import LocalModel, local_model
from common.model_files.safetensors_header import InvalidSafetensorsError, check_layout, read_tensors
from common.model_files.single_file import CONFIGS
from common.model_files.weights import UnservableModelError, components_of, folder_weights

INDEX = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
UNET = "model.diffusion_model."
SD1 = {
    f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
}
SDXL = {
    f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    f"{UNET}label_emb.0.0.weight": (1280, 2816),
    "conditioner.embedders.1.model.text_projection": (1280, 1280),
}


def header_file(file: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a safetensors file without data."""
    tensors = {name: {"dtype": "F16", "shape": shape} for name, shape in shapes.items()}
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    return file


def unet_folder(root: Path, *files: str) -> Path:
    (root / "unet").mkdir()
    for name in files:
        (root / "unet" / name).touch()
    return root


@pytest.mark.parametrize(
    ("files", "variant", "loaded", "found"),
    [
        (("diffusion_pytorch_model.safetensors", "model.bin"), None, 1, None),
        (("diffusion_pytorch_model.fp16.safetensors", "LICENSE"), None, 1, "fp16"),
        (("model.safetensors", "model.fp16.safetensors"), None, 1, None),
        (("model.safetensors", "model.fp16.safetensors"), "fp16", 1, "fp16"),
        (tuple(f"model.fp16-0000{part}-of-00002.safetensors" for part in (1, 2)), None, 2, "fp16"),
        (tuple(f"model-0000{part}-of-00002.fp16.safetensors" for part in (1, 2)), None, 2, "fp16"),
        (tuple(f"model-0000{part}-of-00002.safetensors" for part in (1, 2)), None, 2, None),
        (("model.safetensors", "adapter.safetensors"), None, 1, None),
    ],
)
def test_folder_has_one_variant_of_weights(
    tmp_path: Path, files: tuple[str, ...], variant: str | None, loaded: int, found: str | None
) -> None:
    weights = folder_weights(unet_folder(tmp_path, *files), INDEX, variant=variant)["unet"]
    assert (len(weights.files), weights.variant) == (loaded, found)


@pytest.mark.parametrize(
    ("files", "variant", "reason"),
    [
        (("diffusion_pytorch_model.bin",), None, "only pickled weights"),
        (("model.fp16.safetensors", "model.ema.safetensors"), None, 'write "variant" with one of ema, fp16'),
        (("model.safetensors",), "fp16", r"has no weights \*\.fp16\.safetensors"),
        (("model.safetensors", "diffusers.py"), None, "is code in the model's folder"),
    ],
)
def test_folder_with_unusable_weights_is_refused(
    tmp_path: Path, files: tuple[str, ...], variant: str | None, reason: str
) -> None:
    with pytest.raises(UnservableModelError, match=reason):
        folder_weights(unet_folder(tmp_path, *files), INDEX, variant=variant)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"_class_name": ["pipeline", "Custom"]}, "Code in a model's folder is never run"),
        ({}, "no readable model_index.json with a `_class_name`"),
    ],
)
def test_index_without_a_class_of_diffusers_is_refused(index: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnservableModelError, match=reason):
        components_of(index)


@pytest.mark.parametrize(
    ("shapes", "config"),
    [
        (SD1, "stable_diffusion"),
        (SDXL, "stable_diffusion_xl"),
        (SDXL | {"v_pred": (0,)}, "stable_diffusion_xl"),
    ],
)
def test_single_file_of_a_common_layout_needs_no_configuration(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], config: str
) -> None:
    file = header_file(tmp_path / "tuned.safetensors", shapes)
    assert local_model(ModelFiles(source=str(file))) == LocalModel(folder=CONFIGS / config, checkpoint=file)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (SD1 | {f"{UNET}input_blocks.0.0.weight": (320, 9, 3, 3)}, "has a network with 9 input channels"),
        ({"double_blocks.0.img_mod.lin.weight": (18432, 3072)}, "has only one network"),
        ({"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}, "is neither a Stable Diffusion 1 nor"),
    ],
)
def test_single_file_of_another_layout_needs_a_configuration(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], reason: str
) -> None:
    file = header_file(tmp_path / "other.safetensors", shapes)
    with pytest.raises(UnservableModelError, match=f'other.safetensors {reason}.*: write "config"'):
        local_model(ModelFiles(source=str(file)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 8,
        struct.pack("<Q", 2) + b"[]",
        b"\x02" * 64,
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_damaged_header_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(content)
    with pytest.raises(InvalidSafetensorsError, match="is not a readable safetensors file"):
        read_tensors(file)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": "tuned.ckpt"}, "`source` is a pickled checkpoint .* Convert"),
        ({"source": "a/folder", "config": "b"}, "`config` is for a single file"),
        ({"source": "a.safetensors", "config": "."}, "`config`: .* has no model_index.json"),
        (
            {"source": "a/b", "components": {"vae": "vae.pt"}},
            "vae must be a .safetensors file or an existing folder",
        ),
    ],
)
def test_entry_with_unusable_files_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnservableModelError, match=reason):
        local_model(ModelFiles(**fields))


def test_file_that_is_elsewhere_is_left_to_the_worker(tmp_path: Path) -> None:
    assert local_model(ModelFiles(source=str(tmp_path / "missing.safetensors"))) is None


def start_of_file(**tensors: tuple[str, list[int], list[int]]) -> bytes:
    """Return the header of a file with these tensors: number format, shape and offsets of each."""
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, offsets) in tensors.items()
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": ("F32", [2, 3], [0, 24])},
        {"b": ("BF16", [4], [1, 9]), "a": ("I8", [1], [0, 1])},
        {"a": ("F4", [3, 2], [0, 3]), "scalar": ("F64", [], [3, 11]), "none": ("U8", [0], [11, 11])},
    ],
)
def test_tensors_that_fill_the_file_are_accepted(tensors: dict[str, Any]) -> None:
    start = start_of_file(**tensors)
    data = max(end for _, _, (_, end) in tensors.values())
    check_layout(start, size=len(start) + data)
    for wrong in (data - 1, data + 1):
        with pytest.raises(InvalidSafetensorsError, match="its tensors have"):
            check_layout(start, size=len(start) + wrong)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"a": ("U8", [2], [0, 2]), "b": ("U8", [2], [1, 3])}, "'b' begins at 1 instead of 2"),
        ({"a": ("U8", [2], [0, 2]), "b": ("U8", [2], [3, 5])}, "'b' begins at 3 instead of 2"),
        ({"a": ("U8", [2], [0, 9])}, "'a' has 9 bytes, its shape 2"),
        ({"a": ("U8", [2], [0, -2])}, "'a' begins at 0"),
        ({"a": ("PICKLE", [2], [0, 2])}, "not readable"),
        ({"a": ("U8", [2], [0])}, "not readable"),
    ],
    ids=["overlap", "gap", "out of bounds", "negative size", "unknown format", "no end"],
)
def test_tensors_outside_of_their_place_are_refused(tensors: dict[str, Any], reason: str) -> None:
    start = start_of_file(**tensors)
    with pytest.raises(InvalidSafetensorsError, match=reason):
        check_layout(start, size=len(start) + 5)
