"""The table of families that the oracle suite tests: one line per kind of model.

A new family adds its tiny model to `tiny_families.py` and one line to CASES.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import TEXT_ONLY, Guidance, Input
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.describe_model import described
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.registry import GUIDED_FAMILIES
from gpu_subscriber.engine.messages import ImageReady, RunInterrupted
from gpu_subscriber.engine.models.catalog_check import found_traits
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.runs.run import Denoising
from tests.unit.gpu_subscriber.engine.conftest import Recording
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine
from tests.unit.gpu_subscriber.engine.families.pictures import image_of, inputs_of
from tests.unit.gpu_subscriber.engine.stock_oracle import (
    StockArguments,
    StockPicture,
    cfg,
    stock_picture,
    true_cfg,
)
from tests.unit.gpu_subscriber.engine.tiny_families import saved
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE, tiny_stable_diffusion

EULER = (Sampler.OWN, Sampler.FLOW_EULER)
FLOW_SAMPLERS = (*EULER, Sampler.DPMPP_2M, Sampler.UNIPC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of model: how a tiny one is saved, its samplers, and how the stock pipeline is called."""

    save: Callable[[Path], Path]
    samplers: tuple[Sampler, ...] = (Sampler.OWN,)
    stock_arguments: StockArguments = cfg
    inputs: tuple[Input, ...] = (Input.TEXT, Input.IMAGE, Input.MASK)
    """What images can be generated from. Other inputs have no stock pipeline."""


CASES = {
    "stable_diffusion": Case(save=tiny_stable_diffusion, samplers=DIFFUSION_SAMPLERS),
    "stable_diffusion distilled": Case(
        save=partial(tiny_stable_diffusion, time_cond_proj_dim=32), samplers=DIFFUSION_SAMPLERS
    ),
    "stable_diffusion_xl": Case(save=partial(saved, "sdxl"), samplers=DIFFUSION_SAMPLERS),
    "chroma": Case(save=partial(saved, "chroma"), samplers=(*EULER, Sampler.UNIPC)),
    "flux_2_klein": Case(save=partial(saved, "flux-2-klein"), samplers=FLOW_SAMPLERS, inputs=TEXT_ONLY),
    "flux_2_klein base": Case(
        save=partial(saved, "flux-2-klein-base"), samplers=FLOW_SAMPLERS, inputs=TEXT_ONLY
    ),
    "qwen_image": Case(
        save=partial(saved, "qwen-image"),
        samplers=(*EULER, Sampler.UNIPC),
        stock_arguments=true_cfg,
    ),
    "z_image": Case(save=partial(saved, "z-image"), samplers=EULER),
    "stable_diffusion_3": Case(save=partial(saved, "sd3"), samplers=FLOW_SAMPLERS),
    "flux dev": Case(save=partial(saved, "flux-dev"), samplers=FLOW_SAMPLERS),
    "flux schnell": Case(save=partial(saved, "flux-schnell"), samplers=(*EULER, Sampler.UNIPC)),
    "sana": Case(save=partial(saved, "sana"), samplers=FLOW_SAMPLERS, inputs=TEXT_ONLY),
    "lumina_2": Case(save=partial(saved, "lumina-2"), samplers=(*EULER, Sampler.UNIPC), inputs=TEXT_ONLY),
}

PICTURE_CASES = {
    "stable_diffusion inpainting": Case(
        save=partial(tiny_stable_diffusion, in_channels=9), samplers=DIFFUSION_SAMPLERS
    ),
    "stable_diffusion_xl inpainting": Case(
        save=partial(saved, "sdxl", in_channels=9), samplers=DIFFUSION_SAMPLERS
    ),
    "flux_kontext": Case(
        save=partial(saved, "flux-kontext"),
        samplers=(*EULER, Sampler.UNIPC),
        inputs=(Input.TEXT, Input.IMAGE),
    ),
    "qwen_image_edit": Case(
        save=partial(saved, "qwen-image-edit"),
        samplers=(*EULER, Sampler.UNIPC),
        stock_arguments=true_cfg,
        inputs=(Input.TEXT, Input.IMAGE),
    ),
}
"""Models whose denoiser reads a picture in each step; `test_picture_models.py` tests them."""

each_case = pytest.mark.parametrize("model", tuple(CASES), indirect=True)


def each_sampler(*, but: Sampler | None = None) -> pytest.MarkDecorator:
    """Parametrize over each sampler of each case."""
    every = [
        (name, sampler) for name, case in CASES.items() for sampler in case.samplers if sampler is not but
    ]
    return pytest.mark.parametrize(("model", "sampler"), every, indirect=["model"])


class Compared(Recording):
    """Compares each prediction in a batch with the prediction for its Run alone, from the same latents."""

    def __init__(self, pipeline: Any, **more: Any) -> None:
        super().__init__(pipeline, **more)
        self.largest_error = 0.0
        """Relative to the largest value of the prediction."""

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        together = super().predict(states)
        if len(states) > 1:
            for state, shared in zip(states, together, strict=True):
                (alone,) = GuidedFamily.predict(self, [state])
                error = float((shared - alone).abs().max() / alone.abs().max())
                self.largest_error = max(self.largest_error, error)
        return together


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A loaded tiny model: the stock pipeline, and its family over the same networks."""

    spec: ModelSpec
    family: Compared
    case: Case

    @classmethod
    def loaded(
        cls, case: Case, folder: Path, device: Device = CPU, *, name: str = "tiny", **fields: Any
    ) -> "Model":
        """Load the model through its own catalog entry, which the engine checks, with more `fields`."""
        entry = described(folder)
        limits = {**entry["limits"], "min_side": 8, "max_steps": 1000}
        small = {"width": SIDE, "height": SIDE, "steps": 4}
        spec = ModelSpec(**{**entry, "name": name, "limits": limits, "defaults": small, **fields})
        loaded = load_family(spec, device)
        assert isinstance(loaded, GuidedFamily)
        kind = type("ComparedFamily", (Compared, GUIDED_FAMILIES[spec.family]), {})
        family = kind(
            loaded.pipeline,
            controlnets=loaded.controls.networks,
            ip_adapters=loaded.ip_adapters.adapters,
        )
        return cls(spec=spec, family=family, case=case)

    @property
    def stock(self) -> Any:
        return self.family.pipeline

    @property
    def wide(self) -> dict[str, int]:
        """The size of an image that is not square."""
        return {"width": SIDE + 2 * self.spec.limits.side_multiple, "height": SIDE}

    def engine(self, **settings: Any) -> DrivenEngine:
        """Return a new engine with this model; the family's records are empty."""
        self.family.clear()
        return DrivenEngine(self.family, **settings)

    def with_parts(self, **parts: Any) -> "Model":
        """Return the same model with other components, and the samplers that it then obeys."""
        pipeline = type(self.stock)(**{**self.stock.components, **parts}, **_options(self.stock))
        pipeline.set_progress_bar_config(disable=True)
        spec = self.spec.model_copy(update={"samplers": found_traits(pipeline).samplers})
        return replace(self, spec=spec, family=type(self.family)(pipeline))

    def with_trained(self, name: str) -> "Model":
        """Return the same model after one training step of one network."""
        network = deepcopy(self.stock.components[name])
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(1e-3)
        return self.with_parts(**{name: network})

    def asked(self, **fields: Any) -> GenerationParameters:
        """Complete a submission. Parameters that this model does not accept are left out."""
        if self.spec.traits.guidance is Guidance.NONE:
            fields.pop("guidance_scale", None)
        if not self.spec.traits.negative_prompt:
            fields.pop("negative_prompt", None)
        if not self.spec.traits.guidance_rescale:
            fields.pop("guidance_rescale", None)
        if "steps" in fields:
            fields["steps"] = max(fields["steps"], self.spec.limits.min_steps)
        usual = {"prompt": "a red fox", "sampler": self.spec.samplers[0]}
        return self.spec.completed({**usual, **fields}, seed=7)

    def drawn_by_stock(self, parameters: GenerationParameters, *, index: int = 0) -> StockPicture:
        return stock_picture(
            self.stock,
            parameters,
            index=index,
            arguments=self.case.stock_arguments,
            inputs={name: image_of(picture) for name, picture in inputs_of(parameters).items()},
        )

    def assert_bit_equal(
        self, parameters: GenerationParameters, expected: StockPicture | None = None
    ) -> None:
        """Draw alone with the engine: latents and pixels equal `expected`, or those of the stock pipeline."""
        driven = self.engine()
        driven.draw("alone", parameters, inputs=inputs_of(parameters))
        expected = expected or self.drawn_by_stock(parameters)
        assert torch.equal(self.family.final_latents[parameters.seed], expected.latents)
        assert np.array_equal(driven.picture("alone"), expected.pixels)

    def assert_resumes_bit_equal(self, parameters: GenerationParameters, *, after_steps: int) -> None:
        """Draw undisturbed, and interrupted and resumed by another engine: pixels are the same."""
        undisturbed, first, second = self.engine(), self.engine(), self.engine()
        inputs = inputs_of(parameters)
        undisturbed.draw("run", parameters, inputs=inputs)
        first.start("run", parameters, inputs=inputs)
        first.step(after_steps)
        first.interrupt("run", want_checkpoint=True)
        (stopped,) = first.of_kind(RunInterrupted)
        second.start("run", parameters, inputs=inputs, checkpoint=stopped.checkpoint)
        second.run_to_end()
        (image,) = second.of_kind(ImageReady)
        assert image.resumed_at_step == after_steps
        assert np.array_equal(second.picture("run"), undisturbed.picture("run"))


def _options(pipeline: Any) -> dict[str, Any]:
    """Return the arguments of a pipeline's constructor that are no components."""
    names = type(pipeline)._get_signature_keys(pipeline)[1]
    return {name: pipeline.config[name] for name in names if name in pipeline.config}
