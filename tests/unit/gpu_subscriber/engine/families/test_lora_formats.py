"""LoRA files: the formats that people have equal peft, and files that cannot be applied fail only their task."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from common.domain.failures import FailureCode
from common.domain.models.lora import LoraChoice, LoraSpec
from common.model_files.weights import UnservableModelError
from gpu_subscriber.engine.errors import LoraUnavailableError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.loras import model_loras
from gpu_subscriber.engine.loras.lora_weights import LoraWeights, read_lora
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.messages import RunFailed
from gpu_subscriber.engine.models.loading import compile_blocks
from tests.unit.gpu_subscriber.engine.families.lora_cases import LoraModel, warm_engine
from tests.unit.gpu_subscriber.engine.tiny_loras import (
    flux_kohya_lora,
    flux_xlabs_lora,
    kohya_lora,
    peft_lora,
)

KOHYA = {
    "stable_diffusion": {"unet": "lora_unet", "text_encoder": "lora_te"},
    "stable_diffusion_xl": {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"},
}
"""How the kohya scripts name the networks."""
sdxl = pytest.mark.parametrize("loras", ["stable_diffusion_xl"], indirect=True)
flux = pytest.mark.parametrize("loras", ["flux dev"], indirect=True)


def assert_file_equals_peft(loras: LoraModel, file: Path) -> None:
    loras.oracle.load_lora_weights(str(file), adapter_name=file.stem)
    model = loras.with_loras({file.stem: file})
    parameters = model.asked({file.stem: 0.8}, steps=2, guidance_scale=3.0)
    driven = model.model.engine()
    driven.draw("run", parameters)
    model.assert_equals_peft(driven, "run", parameters)


@pytest.mark.parametrize("loras", tuple(KOHYA), indirect=True)
def test_kohya_file_equals_peft(loras: LoraModel, tmp_path: Path) -> None:
    """Alphas differ from the ranks; the file changes the text encoders, too."""
    file = tmp_path / "kohya.safetensors"
    assert_file_equals_peft(
        loras, kohya_lora(loras.model.stock, file, prefixes=KOHYA[loras.model.spec.family])
    )


@flux
def test_flux_files_of_kohya_and_xlabs_equal_peft(loras: LoraModel, tmp_path: Path) -> None:
    transformer = loras.model.stock.transformer
    assert_file_equals_peft(loras, flux_kohya_lora(transformer, tmp_path / "flux-kohya.safetensors"))
    assert_file_equals_peft(loras, flux_xlabs_lora(transformer, tmp_path / "flux-xlabs.safetensors"))


@flux
def test_configuration_in_the_header_scales_the_layers(loras: LoraModel, tmp_path: Path) -> None:
    """Files of newer releases of diffusers have the alphas of peft's configuration there."""
    tensors = load_file(loras.files["a"])
    configuration = {"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"attn.to_q": 2}}
    file = tmp_path / "configured.safetensors"
    save_file(tensors, file, metadata={"lora_adapter_metadata": json.dumps(configuration)})
    scales = {
        name: pair.scale for name, pair in read_lora(file, loras.model.stock).networks["transformer"].items()
    }
    assert {scale for name, scale in scales.items() if name.endswith("attn.to_q")} == {0.5}
    assert {scale for name, scale in scales.items() if not name.endswith("attn.to_q")} == {2.0}


def changed(file: Path, folder: Path, **changes: torch.Tensor) -> Path:
    """Return a copy of a LoRA whose first layer's matrices are replaced."""
    tensors = load_file(file)
    first = min(tensors).removesuffix(".lora_A.weight")
    for name, tensor in changes.items():
        tensors[f"{first}.{name}.weight"] = tensor
    save_file(tensors, folder / "changed.safetensors")
    return folder / "changed.safetensors"


@sdxl
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lora_A": torch.zeros(4, 7)}, "does not fit this model"),
        ({"lora_B": torch.zeros(7, 4)}, "does not fit this model"),
        ({"other": torch.zeros(1)}, "is no part of a LoRA"),
    ],
)
def test_file_that_does_not_fit_is_refused(
    loras: LoraModel, tmp_path: Path, changes: dict[str, torch.Tensor], reason: str
) -> None:
    with pytest.raises(UnservableModelError, match=reason):
        read_lora(changed(loras.files["b"], tmp_path, **changes), loras.model.stock)


@sdxl
def test_numbers_that_are_not_finite_are_refused(loras: LoraModel, tmp_path: Path) -> None:
    tensors = load_file(loras.files["b"])
    bad = changed(loras.files["b"], tmp_path, lora_A=tensors[min(tensors)] * float("inf"))
    with pytest.raises(UnservableModelError, match="has numbers that are not finite"):
        read_lora(bad, loras.model.stock)


@flux
def test_file_of_another_architecture_is_refused(loras: LoraModel, tmp_path: Path) -> None:
    file = tmp_path / "sdxl.safetensors"
    save_file(
        {"unet.conv_in.lora_A.weight": torch.zeros(4, 4), "unet.conv_in.lora_B.weight": torch.zeros(4, 4)},
        file,
    )
    with pytest.raises(UnservableModelError, match="changes 'unet', to which no LoRA of this model applies"):
        read_lora(file, loras.model.stock)


@sdxl
def test_bad_file_fails_only_the_runs_that_use_it(loras: LoraModel, tmp_path: Path) -> None:
    bad = changed(loras.files["b"], tmp_path, lora_A=torch.zeros(4, 7))
    model = loras.with_loras({**loras.files, "bad": bad, "missing": tmp_path / "missing.safetensors"})
    driven = warm_engine(model)
    for name in ("bad", "a", "missing"):
        driven.start(name, model.asked({name: 1.0}, seed=1))
    driven.run_to_end()
    assert driven.drawn_runs == ["first", "a"]
    for name in ("bad", "missing"):
        (failed,) = driven.of_kind(RunFailed, name)
        assert failed.failure.code == FailureCode.MODEL_UNAVAILABLE
        assert f"the LoRA '{name}' cannot be applied" in failed.failure.message
        assert str(tmp_path) not in failed.failure.message


@sdxl
def test_replaced_file_is_read_again(loras: LoraModel, tmp_path: Path) -> None:
    file = changed(loras.files["b"], tmp_path, lora_A=torch.zeros(4, 7))
    model = loras.with_loras({"own": file})
    parameters = model.asked({"own": 1.0})
    driven = model.model.engine()
    driven.draw("bad", parameters)
    peft_lora(loras.model.stock, file, components=("unet",), rank=4, seed=9)
    driven.draw("good", parameters)
    assert (driven.failed_runs, driven.drawn_runs) == (["bad"], ["good"])


@sdxl
def test_unreadable_file_is_read_again_after_a_minute(
    loras: LoraModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, errors = [0.0], [OSError("the volume does not respond")]

    def unreliable(file: Path, pipeline: Any) -> LoraWeights:
        if errors:
            raise UnservableModelError(str(file)) from errors.pop()
        return read_lora(file, pipeline)

    monkeypatch.setattr(model_loras, "read_lora", unreliable)
    specs = (LoraSpec(name="a", source=str(loras.files["a"])),)
    own = ModelLoras(loras.model.stock, "unet", specs, clock=lambda: now[0])
    asked = (LoraChoice(name="a", scale=1.0),)
    for now[0] in (0.0, 59.0):
        with pytest.raises(LoraUnavailableError):
            own.chosen(asked)
    now[0] = 61.0
    assert [lora.name for lora in own.chosen(asked)] == ["a"]


@flux
def test_compiled_blocks_are_not_compiled_again_for_other_loras(loras: LoraModel) -> None:
    """Code is compiled once for one set in all rows and once for several, whatever the sets are."""
    family = loras.model.family

    def predicted(*sets: str) -> list[torch.Tensor]:
        chosen = [dict.fromkeys(each, 1.0) for each in sets]
        states = [
            family.prepare(loras.asked(each, seed=1), seed=number) for number, each in enumerate(chosen)
        ]
        return GuidedFamily.predict(family, states)

    batches = [("a", "c"), ("a", "a"), ("c", "d"), ("c", "c"), ("ad", "")]
    expected = [predicted(*batch) for batch in batches]
    compiled: list[Any] = []

    def count(graph: Any, _: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    compile_blocks(family.denoiser, backend=count)
    try:
        counts = []
        for batch, plain in zip(batches, expected, strict=True):
            assert all(map(torch.equal, predicted(*batch), plain))
            counts.append(len(compiled))
    finally:
        for module in family.denoiser.modules():
            module._compiled_call_impl = None
        torch._dynamo.reset()
    assert counts[0] < counts[1] == counts[-1]
