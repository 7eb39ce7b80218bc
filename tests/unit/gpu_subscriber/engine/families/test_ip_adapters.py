"""Runs with a reference picture: the images of diffusers' pipelines with IP-Adapters, alone and in batches."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
from torch._dynamo.testing import CompileCounter

from common.domain.models.lora import LoraChoice, LoraSpec
from common.domain.models.traits import PromptSyntax
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.messages import CheckpointRefused, RunFailed, RunInterrupted
from gpu_subscriber.engine.models.loading import compile_blocks, load_family
from tests.unit.gpu_subscriber.engine.driven_engine import CPU
from tests.unit.gpu_subscriber.engine.families.family_cases import Model
from tests.unit.gpu_subscriber.engine.families.lora_cases import TOLERANCE
from tests.unit.gpu_subscriber.engine.families.pictures import (
    CONTROL,
    MASK,
    OTHER_PICTURE,
    PICTURE,
    image_of,
    inputs_of,
)
from tests.unit.gpu_subscriber.engine.families.steered_models import (
    CASES,
    control_network,
    controlled_pipeline,
)
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import STEP_TOLERANCE
from tests.unit.gpu_subscriber.engine.stock_oracle import (
    StockPicture,
    cfg,
    largest_difference,
    stock_picture,
)
from tests.unit.gpu_subscriber.engine.tiny_ip_adapters import tiny_image_encoder, tiny_ip_adapter
from tests.unit.gpu_subscriber.engine.tiny_loras import peft_lora

NAMES = ("stable_diffusion", "stable_diffusion_xl")
KINDS = {"style": "plain", "parts": "plus", "faces": "full"}
ENCODER = "image_encoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Referenced:
    """A model with IP-Adapters, the folder of those, and the stock pipeline with each of them, and without."""

    model: Model
    folder: Path
    stock: dict[str | None, Any]

    def asked(self, **fields: Any) -> GenerationParameters:
        """Return parameters with a reference picture."""
        usual = {"steps": 3, "guidance_scale": 4.0, "reference_image": PICTURE, "ip_adapter": "style"}
        return self.model.asked(**{**usual, **fields})

    def drawn_by_stock(self, parameters: GenerationParameters, pipeline: Any = None) -> StockPicture:
        """Call diffusers' pipeline with the adapter, or another one over the same networks."""
        pictures = {name: image_of(picture) for name, picture in inputs_of(parameters).items()}
        stock = self.stock[parameters.ip_adapter]
        more: dict[str, Any] = {}
        if parameters.ip_adapter is not None:
            stock.set_ip_adapter_scale(parameters.reference_scale)
            more["ip_adapter_image"] = pictures.pop("reference_image")
        if pipeline is not None:
            more |= {"image": pictures.pop("control_image")}
            more["controlnet_conditioning_scale"] = parameters.control_scale
        return stock_picture(
            pipeline or stock, parameters, arguments=lambda asked: {**cfg(asked), **more}, inputs=pictures
        )

    def assert_bit_equal(self, parameters: GenerationParameters, pipeline: Any = None) -> None:
        self.model.assert_bit_equal(parameters, self.drawn_by_stock(parameters, pipeline))


def _entries(folder: Path, kinds: dict[str, str] | None = None) -> list[dict[str, str]]:
    encoder = str(folder / ENCODER)
    return [
        {"name": name, "source": str(folder / f"{name}.safetensors"), "image_encoder": encoder}
        for name in kinds or KINDS
    ]


def _stock(model: Path, folder: Path, adapter: str | None) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(model, use_safetensors=True)
    if adapter is not None:
        pipeline.load_ip_adapter(
            str(folder), subfolder="", weight_name=f"{adapter}.safetensors", image_encoder_folder=ENCODER
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def referenced_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Referenced]:
    @cache
    def make(name: str) -> Referenced:
        root = tmp_path_factory.mktemp("referenced")
        folder = CASES[name].save(root / "model")
        unet = Model.loaded(CASES[name], folder).stock.unet
        tiny_image_encoder(root / ENCODER)
        for seed, (adapter, kind) in enumerate(KINDS.items()):
            tiny_ip_adapter(unet, root / f"{adapter}.safetensors", kind=kind, seed=seed)
        return Referenced(
            model=Model.loaded(CASES[name], folder, ip_adapters=_entries(root)),
            folder=root,
            stock={adapter: _stock(folder, root, adapter) for adapter in (None, *KINDS)},
        )

    return make


@pytest.fixture
def referenced(
    request: pytest.FixtureRequest, referenced_model: Callable[[str], Referenced]
) -> Iterator[Referenced]:
    made = referenced_model(request.param)
    with torch.inference_mode():
        yield made


each_model = pytest.mark.parametrize("referenced", NAMES, indirect=True)
each_sampler = pytest.mark.parametrize(
    ("referenced", "sampler"),
    [(name, sampler) for name in NAMES for sampler in CASES[name].samplers],
    indirect=["referenced"],
)


@each_sampler
def test_single_run_equals_the_stock_pipeline(referenced: Referenced, sampler: Sampler) -> None:
    asked = partial(referenced.asked, sampler=sampler)
    referenced.assert_bit_equal(asked(negative_prompt="blurry"))
    referenced.assert_bit_equal(asked(guidance_scale=1.0, reference_scale=0.35, **referenced.model.wide))


@each_model
@pytest.mark.parametrize("adapter", KINDS)
def test_each_kind_of_adapter_equals_the_stock_pipeline(referenced: Referenced, adapter: str) -> None:
    referenced.assert_bit_equal(referenced.asked(ip_adapter=adapter, reference_scale=1.0))


@each_model
def test_scale_of_zero_equals_text_to_image(referenced: Referenced) -> None:
    parameters, plain = (
        referenced.asked(reference_scale=0.0),
        referenced.model.asked(steps=3, guidance_scale=4.0),
    )
    driven = referenced.model.engine()
    driven.draw("zero", parameters, inputs=inputs_of(parameters))
    driven.draw("plain", plain)
    assert np.array_equal(driven.picture("zero"), driven.picture("plain"))
    followed = referenced.asked(reference_scale=1.0)
    driven.draw("followed", followed, inputs=inputs_of(followed))
    assert largest_difference(driven.picture("followed"), driven.picture("plain")) > 1


@each_model
@pytest.mark.parametrize("mask", [False, True], ids=["image", "mask"])
def test_picture_with_a_reference_equals_the_stock_pipeline(referenced: Referenced, mask: bool) -> None:
    pictures = {"image": OTHER_PICTURE, "strength": 0.5, **({"mask_image": MASK} if mask else {})}
    referenced.assert_bit_equal(referenced.asked(steps=6, **pictures))


@each_model
def test_mixed_batch_equals_single_runs(referenced: Referenced) -> None:
    """Scales, samplers, steps, pictures and adapters differ, and two Runs have no reference picture."""
    samplers = referenced.model.spec.samplers
    choices: list[dict[str, Any]] = [
        {"reference_scale": 1.0},
        {"reference_image": None, "ip_adapter": None},
        {"reference_scale": 0.4, "reference_image": OTHER_PICTURE},
        {"ip_adapter": "parts", "reference_scale": 0.8},
        {"reference_image": None, "ip_adapter": None, "image": OTHER_PICTURE, "strength": 0.7},
        {"ip_adapter": "faces", "image": OTHER_PICTURE, "strength": 0.7},
    ]
    asked = {
        str(number): referenced.asked(
            seed=100 + number, steps=3 + number % 2, sampler=samplers[number % len(samplers)], **choice
        )
        for number, choice in enumerate(choices)
    }
    driven = referenced.model.engine()
    for run_id, parameters in asked.items():
        driven.start(run_id, parameters, inputs=inputs_of(parameters))
    driven.run_to_end()
    assert referenced.model.family.batches[0] == len(asked)
    assert referenced.model.family.largest_error <= STEP_TOLERANCE
    for run_id, parameters in asked.items():
        assert largest_difference(driven.picture(run_id), referenced.drawn_by_stock(parameters).pixels) <= 1


@each_model
def test_prompts_of_different_lengths_share_steps_with_references(referenced: Referenced) -> None:
    long = "x" * (referenced.model.stock.tokenizer.model_max_length * 2)
    asked = [
        referenced.asked(seed=1),
        referenced.asked(seed=2, prompt=long, prompt_syntax=PromptSyntax.WEIGHTED, reference_scale=1.5),
    ]
    driven = referenced.model.engine()
    for number, parameters in enumerate(asked):
        driven.start(str(number), parameters, inputs=inputs_of(parameters))
    driven.run_to_end()
    assert set(referenced.model.family.batches) == {2}
    assert referenced.model.family.largest_error <= STEP_TOLERANCE


@each_model
def test_control_image_with_a_reference_equals_the_stock_pipeline(
    referenced: Referenced, tmp_path: Path
) -> None:
    model = referenced.model
    with torch.inference_mode(mode=False):
        network = control_network(model.stock, seed=1)
        network.save_pretrained(tmp_path / "edges")
        controlled = Model.loaded(
            model.case,
            referenced.folder / "model",
            ip_adapters=_entries(referenced.folder),
            controlnets=[{"name": "edges", "source": str(tmp_path / "edges")}],
        )
    stock = referenced.stock["style"]
    kind = getattr(diffusers, type(stock).__name__.replace("Pipeline", "ControlNetPipeline"))
    oracle = controlled_pipeline(stock, network, kind)
    both = replace(referenced, model=controlled)
    both.assert_bit_equal(both.asked(control_image=CONTROL, control_scale=0.7), oracle)


@each_model
def test_loras_with_a_reference_equal_the_stock_pipeline(referenced: Referenced, tmp_path: Path) -> None:
    model, family = referenced.model, referenced.model.family
    file = peft_lora(model.stock, tmp_path / "ink.safetensors", components=("unet",), rank=4)
    stock = deepcopy(referenced.stock["style"])
    stock.load_lora_weights(str(file), adapter_name="ink")
    stock.set_adapters(["ink"], [0.8])
    own = family.loras
    family.loras = ModelLoras(family.pipeline, "unet", [LoraSpec(name="ink", source=str(file))], most_sets=4)
    try:
        plain = referenced.asked(seed=1)
        parameters = plain.model_copy(update={"seed": 2, "loras": (LoraChoice(name="ink", scale=0.8),)})
        driven = model.engine()
        driven.draw("loads", plain, inputs=inputs_of(plain))
        family.clear()
        for run_id, asked in (("plain", plain), ("ink", parameters)):
            driven.start(run_id, asked, inputs=inputs_of(asked))
        driven.run_to_end()
        assert family.batches[0] == 2
        expected = replace(referenced, stock={"style": stock}).drawn_by_stock(parameters)
    finally:
        family.loras.release()
        family.loras = own
    difference = (family.final_latents[2] - expected.latents).abs().max()
    assert float(difference / expected.latents.abs().max()) <= TOLERANCE
    assert largest_difference(driven.picture("plain"), referenced.drawn_by_stock(plain).pixels) <= 1


@each_model
def test_run_resumes_bit_equal(referenced: Referenced) -> None:
    referenced.model.assert_resumes_bit_equal(referenced.asked(steps=5), after_steps=2)


@each_model
def test_checkpoint_of_another_reference_is_refused(referenced: Referenced) -> None:
    parameters = referenced.asked(steps=5)
    driven = referenced.model.engine()
    driven.start("run", parameters, inputs=inputs_of(parameters))
    driven.step(2)
    driven.interrupt("run", want_checkpoint=True)
    (stopped,) = driven.of_kind(RunInterrupted)
    for other in (
        parameters.model_copy(update={"reference_image": OTHER_PICTURE}),
        parameters.model_copy(update={"reference_scale": 0.1}),
        parameters.model_copy(update={"ip_adapter": "parts"}),
    ):
        resumed = referenced.model.engine()
        resumed.start("run", other, checkpoint=stopped.checkpoint, inputs=inputs_of(other))
        resumed.run_to_end()
        assert resumed.of_kind(CheckpointRefused)


@each_model
def test_picture_is_encoded_once_for_all_images_of_a_task(referenced: Referenced) -> None:
    encoded: list[torch.Size] = []
    encoder = referenced.model.family.ip_adapters.adapters["style"].encoder
    hook = encoder.register_forward_hook(lambda _module, given, _result: encoded.append(given[0].shape))
    parameters = referenced.asked(num_images=3, reference_image=f"{99:064x}")
    driven = referenced.model.engine()
    try:
        for index in range(3):
            driven.start(str(index), parameters, index=index, inputs=inputs_of(parameters))
        driven.run_to_end()
    finally:
        hook.remove()
    assert encoded == [(1, 3, 32, 32)]


@each_model
def test_run_without_its_reference_fails(referenced: Referenced) -> None:
    driven = referenced.model.engine()
    driven.draw("run", referenced.asked())
    (failed,) = driven.of_kind(RunFailed)
    assert failed.failure.code == "generation_failed"


@each_model
def test_record_names_the_files_of_adapters(referenced: Referenced) -> None:
    files = load_family(referenced.model.spec, CPU).origin.weights
    assert {f"ip_adapters/{name}/{name}.safetensors" for name in KINDS} <= files.keys()
    assert [name for name in files if "image_encoder" in name] == [
        "ip_adapters/style/image_encoder/model.safetensors"
    ]


def test_compiled_blocks_follow_a_reference(referenced_model: Callable[[str], Referenced]) -> None:
    referenced = referenced_model("stable_diffusion_xl")
    family, counter = referenced.model.family, CompileCounter()
    pipeline = _stock(referenced.folder / "model", referenced.folder, None)
    compile_blocks(pipeline.unet, backend=counter, fullgraph=True)
    compiled = type(family)(pipeline, ip_adapters=family.ip_adapters.adapters)
    asked = [referenced.asked(reference_scale=scale) for scale in (0.2, 1.0)]
    counts = []
    with torch.inference_mode():
        states = [family.prepare(each, seed=1, inputs=inputs_of(each)) for each in asked]
        for state in states:
            (expected,), (found,) = GuidedFamily.predict(family, [state]), compiled.predict([state])
            torch.testing.assert_close(found, expected)
            counts.append(counter.frame_count)
    assert 0 < counts[0] == counts[1], "another scale compiles nothing"


def test_adapter_that_does_not_fit_is_refused(
    referenced_model: Callable[[str], Referenced], tmp_path: Path
) -> None:
    small, large = (referenced_model(name) for name in NAMES)
    load = partial(Model.loaded, small.model.case, small.folder / "model")
    with pytest.raises(ModelRefusedError, match=r"ip_adapters/style: the .* layers of `source` do not fit"):
        load(ip_adapters=_entries(large.folder))
    (entry,) = _entries(small.folder, {"style": "plain"})
    tensors = load_file(entry["source"])
    narrow = {**tensors, "image_proj.proj.weight": tensors["image_proj.proj.weight"][:, :5].clone()}
    broken = {**tensors, "ip_adapter.1.to_k_ip.weight": tensors["ip_adapter.1.to_k_ip.weight"] / 0}
    for changed, reason in ((narrow, "reads embeddings of 5 numbers"), (broken, "are not finite")):
        save_file(changed, tmp_path / "changed.safetensors")
        with pytest.raises(ModelRefusedError, match=f"ip_adapters/style: `source` .*{reason}"):
            load(ip_adapters=[{**entry, "source": str(tmp_path / "changed.safetensors")}])
    with pytest.raises(ModelRefusedError, match="`image_encoder` must contain a CLIP vision model"):
        load(ip_adapters=[{**entry, "image_encoder": str(small.folder / "model" / "vae")}])
