"""Runs with a control image: the images of diffusers' ControlNet pipelines, alone and in batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import ControlNetModel, FluxControlNetModel

from common.domain.errors import ParametersRejectedError
from common.domain.models.traits import PromptSyntax
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.messages import RunFailed
from gpu_subscriber.engine.tuning.step_factors import measure_step_factors
from tests.unit.gpu_subscriber.engine.driven_engine import CPU
from tests.unit.gpu_subscriber.engine.families.family_cases import Model
from tests.unit.gpu_subscriber.engine.families.pictures import (
    CONTROL,
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
from tests.unit.gpu_subscriber.engine.stock_oracle import cfg, largest_difference, stock_picture

NAMES = ("stable_diffusion", "stable_diffusion_xl", "flux dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled:
    """A model with two control networks, and the folders of those."""

    model: Model
    folders: dict[str, Path]

    def asked(self, **fields: Any) -> GenerationParameters:
        """Return parameters with a control image, and a picture to start from if `image` is given."""
        usual = {"steps": 4, "guidance_scale": 4.0, "control_image": CONTROL, "controlnet": "edges"}
        image: dict[str, Any] = {name: fields.pop(name) for name in ("image", "strength") if name in fields}
        return self.model.asked(**{**usual, **fields}).model_copy(update=image)

    def drawn_by_stock(self, parameters: GenerationParameters) -> Any:
        """Call the ControlNet pipeline over the same networks."""
        stock, is_flux = self.model.stock, self.model.spec.family == "flux"
        name = type(stock).__name__.replace("Pipeline", "ControlNet")
        kind = getattr(diffusers, f"{name}{'Img2Img' if parameters.image else ''}Pipeline")
        network = (FluxControlNetModel if is_flux else ControlNetModel).from_pretrained(
            self.folders[str(parameters.controlnet)]
        )
        pipeline = controlled_pipeline(stock, network, kind)
        pictures = {each: image_of(picture) for each, picture in inputs_of(parameters).items()}
        if not is_flux and not parameters.image:
            pictures["image"] = pictures.pop("control_image")
        more: dict[str, Any] = {"controlnet_conditioning_scale": parameters.control_scale, **pictures}
        if parameters.image:
            more["strength"] = parameters.strength
        return stock_picture(pipeline, parameters, arguments=lambda asked: {**cfg(asked), **more})

    def assert_bit_equal(self, parameters: GenerationParameters) -> None:
        self.model.assert_bit_equal(parameters, self.drawn_by_stock(parameters))


@pytest.fixture(scope="module")
def controlled_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Controlled]:
    @cache
    def make(name: str) -> Controlled:
        root = tmp_path_factory.mktemp("controlled")
        folder = CASES[name].save(root / "model")
        stock = Model.loaded(CASES[name], folder).stock
        folders = {"edges": root / "edges", "depth": root / "depth"}
        for seed, target in enumerate(folders.values()):
            control_network(stock, seed).save_pretrained(target)
        entries = [{"name": each, "source": str(target)} for each, target in folders.items()]
        return Controlled(model=Model.loaded(CASES[name], folder, controlnets=entries), folders=folders)

    return make


@pytest.fixture
def controlled(
    request: pytest.FixtureRequest, controlled_model: Callable[[str], Controlled]
) -> Iterator[Controlled]:
    made = controlled_model(request.param)
    with torch.inference_mode():
        yield made


each_model = pytest.mark.parametrize("controlled", NAMES, indirect=True)
each_sampler = pytest.mark.parametrize(
    ("controlled", "sampler"),
    [(name, sampler) for name in NAMES[:2] for sampler in CASES[name].samplers]
    + [("flux dev", sampler) for sampler in (Sampler.OWN, Sampler.FLOW_EULER)],
    indirect=["controlled"],
)


@each_sampler
def test_single_run_equals_the_stock_pipeline(controlled: Controlled, sampler: Sampler) -> None:
    asked = partial(controlled.asked, sampler=sampler, steps=3)
    controlled.assert_bit_equal(asked(negative_prompt="blurry"))
    controlled.assert_bit_equal(asked(guidance_scale=1.0, control_scale=0.35, **controlled.model.wide))


@each_model
@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_scale_equals_the_stock_pipeline(controlled: Controlled, scale: float) -> None:
    controlled.assert_bit_equal(controlled.asked(control_scale=scale, controlnet="depth"))


@each_model
def test_picture_with_a_control_image_equals_the_stock_pipeline(controlled: Controlled) -> None:
    controlled.assert_bit_equal(controlled.asked(image=PICTURE, strength=0.5, steps=6))


@each_model
def test_mixed_batch_equals_single_runs(controlled: Controlled) -> None:
    """Scales, samplers, steps and control images differ, and one Run starts from a picture."""
    samplers = controlled.model.spec.samplers[:2]
    asked = {
        str(number): controlled.asked(
            seed=100 + number,
            steps=3 + number % 2,
            sampler=samplers[number % 2],
            control_scale=scale,
            control_image=CONTROL if number % 2 else OTHER_PICTURE,
            **({"image": PICTURE, "strength": 0.7} if number == 3 else {}),
        )
        for number, scale in enumerate((0.0, 0.4, 1.0, 1.6))
    }
    driven = controlled.model.engine()
    for run_id, parameters in asked.items():
        driven.start(run_id, parameters, inputs=inputs_of(parameters))
    driven.run_to_end()
    assert controlled.model.family.batches[0] == len(asked)
    assert controlled.model.family.largest_error <= STEP_TOLERANCE
    for run_id, parameters in asked.items():
        if controlled.model.spec.family == "flux" and parameters.sampler not in (
            Sampler.OWN,
            Sampler.FLOW_EULER,
        ):
            continue
        expected = controlled.drawn_by_stock(parameters)
        assert largest_difference(driven.picture(run_id), expected.pixels) <= 1


@each_model
def test_runs_share_steps_only_with_the_same_control_network(controlled: Controlled) -> None:
    asked = [
        controlled.asked(seed=1),
        controlled.asked(seed=2, controlnet="depth"),
        controlled.model.asked(seed=3, steps=4, guidance_scale=4.0),
    ]
    driven = controlled.model.engine()
    for number, parameters in enumerate(asked):
        driven.start(str(number), parameters, inputs=inputs_of(parameters))
    driven.run_to_end()
    assert set(controlled.model.family.batches) == {1}
    assert len({driven.picture(str(number)).tobytes() for number in range(3)}) == 3


@pytest.mark.parametrize("controlled", NAMES[:2], indirect=True)
def test_prompts_of_different_lengths_share_control_steps(controlled: Controlled) -> None:
    long = "x" * (controlled.model.stock.tokenizer.model_max_length * 2)
    asked = [
        controlled.asked(seed=1),
        controlled.asked(seed=2, prompt=long, prompt_syntax=PromptSyntax.WEIGHTED, control_scale=1.5),
    ]
    driven = controlled.model.engine()
    for number, parameters in enumerate(asked):
        driven.start(str(number), parameters, inputs=inputs_of(parameters))
    driven.run_to_end()
    assert set(controlled.model.family.batches) == {2}
    assert controlled.model.family.largest_error <= STEP_TOLERANCE


@each_model
def test_run_resumes_bit_equal(controlled: Controlled) -> None:
    controlled.model.assert_resumes_bit_equal(controlled.asked(steps=5), after_steps=2)


@each_model
def test_run_without_its_control_image_fails(controlled: Controlled) -> None:
    driven = controlled.model.engine()
    driven.draw("run", controlled.asked())
    (failed,) = driven.of_kind(RunFailed)
    assert failed.failure.code == "generation_failed"


@each_model
def test_record_names_the_files_of_control_networks(controlled: Controlled) -> None:
    spec = controlled.model.spec
    assert [network.name for network in spec.controlnets] == ["edges", "depth"]
    networks = controlled.model.family.origin.networks
    assert {"controlnets/edges", "controlnets/depth"} <= set(networks)


def test_network_of_another_architecture_is_refused(
    controlled_model: Callable[[str], Controlled], tmp_path: Path
) -> None:
    other = controlled_model("stable_diffusion_xl").folders["edges"]
    entries = [{"name": "edges", "source": str(other)}]
    folder = CASES["stable_diffusion"].save(tmp_path / "model")
    with pytest.raises(ModelRefusedError, match="controlnets/edges: its cross_attention_dim is 64"):
        Model.loaded(CASES["stable_diffusion"], folder, controlnets=entries)
    flux = [{"name": "edges", "source": str(controlled_model("flux dev").folders["edges"])}]
    with pytest.raises(ModelRefusedError, match="must contain a ControlNetModel"):
        Model.loaded(CASES["stable_diffusion"], folder, controlnets=flux)


def test_unknown_network_is_refused(controlled_model: Callable[[str], Controlled]) -> None:
    spec = controlled_model("stable_diffusion").model.spec
    with pytest.raises(ParametersRejectedError) as refusal:
        spec.completed({"prompt": "x", "control_image": CONTROL, "controlnet": "pose"}, seed=7)
    assert [problem.pointer for problem in refusal.value.problems] == ["/controlnet"]


@each_model
def test_step_with_a_control_network_is_compared_with_a_plain_one(controlled: Controlled) -> None:
    seconds = iter((0.1, 0.25))

    def timed(device: Device, work: Callable[[], object]) -> list[float]:
        work()
        return [next(seconds)]

    model = controlled.model
    parameters = controlled.asked().model_copy(update={"controlnet": None, "control_image": None})
    found = measure_step_factors(model.family, model.spec, parameters, CPU, timed=timed)
    assert (found.loras, found.control) == pytest.approx((1.0, 2.5))
