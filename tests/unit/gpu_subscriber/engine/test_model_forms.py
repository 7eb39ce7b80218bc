"""Every form of checkpoint that people have loads with the same numbers, offline, from safetensors alone."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from common.domain.models.spec import ModelSpec
from common.model_files.single_file import CONFIGS
from common.model_files.weights import UnservableModelError
from common.settings import read_catalog
from gpu_subscriber.describe_model import described
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.models.loading import load_family
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing, spec
from tests.unit.gpu_subscriber.engine.original_layout import save_original_layout
from tests.unit.gpu_subscriber.engine.tiny_families import saved
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

SD, XL = "stable_diffusion", "stable_diffusion_xl"


@pytest.fixture(scope="module")
def stock_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The stock pipelines by family, each with its folder as `folder`."""
    root = tmp_path_factory.mktemp("forms")
    tiny_stable_diffusion(root / SD, mid_block_type="UNetMidBlock2DCrossAttn")
    saved("sdxl", root / XL)
    return {name: DiffusionPipeline.from_pretrained(root / name) for name in (SD, XL)}


def folder_of(pipeline: Any) -> Path:
    return Path(pipeline.config._name_or_path)


def as_folder(pipeline: Any, root: Path) -> dict[str, Any]:
    return {"source": str(folder_of(pipeline))}


def as_half_precision(pipeline: Any, root: Path) -> dict[str, Any]:
    """The layout of repositories that have only `*.fp16.safetensors`."""
    pipeline.save_pretrained(root / "half", variant="fp16")
    (root / "half" / "vae" / "LICENSE").write_text("A file without a suffix.")
    return {"source": str(root / "half")}


def as_single_file(pipeline: Any, root: Path) -> dict[str, Any]:
    file = save_original_layout(pipeline, root / "one.safetensors")
    return {"source": str(file), "config": str(folder_without_weights(pipeline, root))}


def as_replaced_components(pipeline: Any, root: Path) -> dict[str, Any]:
    """A network in its own file, one in its own folder, and the rest without them."""
    folder = copytree(folder_of(pipeline), root / "rest")
    for name in ("unet", "text_encoder", "vae"):
        (root / name).mkdir()
    unet = (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(
        root / "unet" / "tuned.safetensors"
    )
    text = (folder / "text_encoder" / "model.safetensors").rename(root / "text_encoder" / "clip.safetensors")
    vae = copytree(folder / "vae", root / "own-vae")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    return {
        "source": str(folder),
        "components": {"unet": str(unet), "text_encoder": str(text), "vae": str(vae)},
    }


def folder_without_weights(pipeline: Any, root: Path) -> Path:
    folder = copytree(folder_of(pipeline), root / "config")
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    return folder


FORMS: tuple[Callable[[Any, Path], dict[str, Any]], ...] = (
    as_folder,
    as_half_precision,
    as_single_file,
    as_replaced_components,
)


@pytest.mark.parametrize("family", [SD, XL])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_loads_the_same_weights(
    stock_models: Mapping[str, Any], tmp_path: Path, form: Callable[..., dict[str, Any]], family: str
) -> None:
    stock = stock_models[family]
    loaded = load_family(spec("tiny", family=family, **form(stock, tmp_path)), CPU)
    for name, network in stock.components.items():
        if isinstance(network, torch.nn.Module):
            expected, tensors = network.state_dict(), getattr(loaded.pipeline, name).state_dict()
            assert expected.keys() == tensors.keys()
            assert all(torch.equal(expected[key], tensors[key]) for key in expected), name
    assert loaded.pipeline.scheduler.config == stock.scheduler.config


@pytest.mark.parametrize("form", FORMS)
def test_record_has_the_hashes_of_exactly_the_loaded_files(
    stock_models: Mapping[str, Any], tmp_path: Path, form: Callable[..., dict[str, Any]]
) -> None:
    entry = form(stock_models[SD], tmp_path)
    if form is as_half_precision:
        copytree(entry["source"], tmp_path / "both")
        stock_models[SD].save_pretrained(tmp_path / "both")
        entry = {"source": str(tmp_path / "both"), "variant": "fp16"}
    expected = {
        as_folder: {"text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"},
        as_half_precision: {
            "text_encoder/model.fp16",
            "unet/diffusion_pytorch_model.fp16",
            "vae/diffusion_pytorch_model.fp16",
        },
        as_single_file: {"one"},
        as_replaced_components: {"text_encoder/clip", "unet/tuned", "vae/diffusion_pytorch_model"},
    }
    weights = load_family(spec("tiny", **entry), CPU).origin.weights
    assert set(weights) == {f"{name}.safetensors" for name in expected[form]}


def test_described_single_file_is_drawn(stock_models: Mapping[str, Any], tmp_path: Path) -> None:
    files = as_single_file(stock_models[XL], tmp_path)
    entry = described(Path(files["source"]), config=Path(files["config"]))
    (tmp_path / "models.json").write_text(json.dumps({"models": [entry]}))
    model = read_catalog(tmp_path / "models.json").default
    assert (model.name, model.family) == ("one", XL)
    images = []
    for one in (model, spec("one", family=XL, source=str(folder_of(stock_models[XL])))):
        driven = DrivenEngine(load_family(one, CPU))
        driven.draw("run", drawing(steps=2))
        images.append(driven.picture("run"))
    assert (images[0] == images[1]).all()


@pytest.mark.parametrize("is_zero_snr", [False, True])
def test_file_that_marks_v_prediction_gets_such_a_scheduler(
    stock_models: Mapping[str, Any], tmp_path: Path, is_zero_snr: bool
) -> None:
    entry = as_single_file(stock_models[XL], tmp_path)
    markers = {"v_pred": torch.zeros(0)} | ({"ztsnr": torch.zeros(0)} if is_zero_snr else {})
    save_file(load_file(entry["source"]) | markers, entry["source"])
    config = load_family(spec("tiny", family=XL, **entry), CPU).pipeline.scheduler.config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", is_zero_snr)


def test_single_file_of_a_newer_converter_loads_the_same_text_encoder(
    stock_models: Mapping[str, Any], tmp_path: Path
) -> None:
    entry = as_single_file(stock_models[SD], tmp_path)
    tensors = load_file(entry["source"])
    save_file(
        {name.replace(".text_model.", "."): tensor for name, tensor in tensors.items()}, entry["source"]
    )
    expected = stock_models[SD].text_encoder.state_dict()
    loaded = load_family(spec("tiny", **entry), CPU).pipeline.text_encoder.state_dict()
    assert all(torch.equal(expected[key], loaded[key]) for key in expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("form", FORMS)
def test_entry_chooses_the_number_format(
    stock_models: Mapping[str, Any], tmp_path: Path, form: Callable[..., dict[str, Any]], dtype: str
) -> None:
    loaded = load_family(spec("tiny", dtype=dtype, **form(stock_models[SD], tmp_path)), CPU)
    networks = loaded.origin.networks.values()
    assert {tensor.dtype for network in networks for tensor in network.parameters()} == {
        getattr(torch, dtype)
    }
    assert loaded.origin.environment.dtype == dtype


@pytest.mark.parametrize("name", ["flux-dev", "sd3", "qwen-image"])
def test_transformer_of_its_own_file_is_loaded(tmp_path: Path, name: str) -> None:
    folder = saved(name, tmp_path / "model")
    stock: Any = DiffusionPipeline.from_pretrained(folder)
    tuned = {key: tensor + 1 for key, tensor in stock.transformer.state_dict().items()}
    save_file(tuned, tmp_path / "tuned.safetensors")
    entry = described(folder) | {"components": {"transformer": str(tmp_path / "tuned.safetensors")}}
    loaded = load_family(ModelSpec.model_validate(entry | {"family": "whole_pipeline"}), CPU)
    tensors = loaded.pipeline.transformer.state_dict()
    assert all(torch.equal(tensors[key], tuned[key]) for key in tuned)


def test_transformer_with_another_guidance_than_its_configuration_is_refused(tmp_path: Path) -> None:
    folders = {name: saved(name, tmp_path / name) for name in ("flux-dev", "flux-schnell")}
    file = folders["flux-dev"] / "transformer" / "diffusion_pytorch_model.safetensors"
    entry = described(folders["flux-schnell"]) | {"components": {"transformer": str(file)}}
    with pytest.raises(ModelRefusedError, match="differ in `guidance_embeds`"):
        load_family(ModelSpec.model_validate(entry | {"family": "whole_pipeline"}), CPU)


@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_weights_that_lack_a_tensor_are_refused(
    stable_diffusion_folder: Path, tmp_path: Path, component: str
) -> None:
    folder = copytree(stable_diffusion_folder, tmp_path / "model")
    (file,) = (folder / component).glob("*.safetensors")
    tensors = load_file(file)
    lost = sorted(tensors)[0]
    save_file(
        {key: tensor for key, tensor in tensors.items() if key != lost}, file, metadata={"format": "pt"}
    )
    with pytest.raises(ModelRefusedError, match=f"{component}: its weights have no tensor '{lost}'"):
        load_family(spec("tiny", source=str(folder)), CPU)


def test_single_file_without_text_encoder_is_refused(stock_models: Mapping[str, Any], tmp_path: Path) -> None:
    entry = as_single_file(stock_models[SD], tmp_path)
    tensors = load_file(entry["source"])
    save_file({key: value for key, value in tensors.items() if "cond_stage" not in key}, entry["source"])
    (Path(entry["config"]) / "text_encoder" / "config.json").rename(tmp_path / "config.json")
    (Path(entry["config"]) / "text_encoder").rmdir()
    with pytest.raises(ModelRefusedError, match="has the component 'text_encoder'; add it to the entry"):
        load_family(spec("tiny", **entry), CPU)


def test_unknown_component_is_refused(stable_diffusion_folder: Path) -> None:
    folder = str(stable_diffusion_folder)
    with pytest.raises(ModelRefusedError, match="has no transformer; it has"):
        load_family(spec("tiny", source=folder, components={"transformer": folder}), CPU)


def custom_pipeline(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = ["pipeline", "Custom"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "pipeline.py").write_text("raise SystemExit('code of the folder ran')")


def custom_component(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["network", "Custom"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet" / "network.py").write_text("raise SystemExit('code of the folder ran')")


def foreign_component(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["antigravity", "geohash"]
    (folder / "model_index.json").write_text(json.dumps(index))


def pickled_weights(folder: Path) -> None:
    (file,) = (folder / "unet").glob("*.safetensors")
    file.rename(file.with_suffix(".bin"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (custom_pipeline, "Code in a model's folder is never run"),
        (custom_component, "is code in the model's folder"),
        (foreign_component, r"neither diffusers nor transformers has the class antigravity\.geohash"),
        (pickled_weights, "has only pickled weights .* Convert a model that you trust"),
    ],
)
def test_folder_with_code_is_refused(
    stable_diffusion_folder: Path, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    folder = copytree(stable_diffusion_folder, tmp_path / "model")
    spoil(folder)
    with pytest.raises((ModelRefusedError, UnservableModelError), match=reason):
        load_family(spec("tiny", source=str(folder)), CPU)


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        (SD, {"text_encoder": 123_060_480, "unet": 859_520_964, "vae": 83_653_863}),
        (
            XL,
            {
                "text_encoder": 123_060_480,
                "text_encoder_2": 694_659_840,
                "unet": 2_567_463_684,
                "vae": 83_653_863,
            },
        ),
    ],
)
def test_shipped_configuration_has_the_published_sizes(family: str, sizes: Mapping[str, int]) -> None:
    for name, parameters in sizes.items():
        with torch.device("meta"):
            network = described_network(CONFIGS / family / name)
        assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def described_network(folder: Path) -> torch.nn.Module:
    if folder.name.startswith("text"):
        config = CLIPTextConfig.from_pretrained(folder)
        return CLIPTextModelWithProjection(config) if folder.name.endswith("_2") else CLIPTextModel(config)
    kind: Any = UNet2DConditionModel if folder.name == "unet" else AutoencoderKL
    network: torch.nn.Module = kind.from_config(kind.load_config(folder))
    return network


def test_shipped_tokenizers_know_the_vocabulary_of_clip() -> None:
    tokens = [320, 1125, 539, 320, 2368]
    for folder, padding in ((CONFIGS / SD / "tokenizer", 49407), (CONFIGS / XL / "tokenizer_2", 0)):
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        encoded = tokenizer("a photo of a cat", padding="max_length", max_length=8).input_ids
        assert encoded == [49406, *tokens, 49407, padding]
