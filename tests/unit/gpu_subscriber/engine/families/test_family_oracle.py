"""The oracle: in any family and with any sampler, a Run's image is the stock pipeline's image.

Alone the forward has the stock call's shape, so latents are equal bit for bit. In a shared batch,
matrix products are summed in another order: each prediction differs by STEP_TOLERANCE at most. Over
a few steps that moves no pixel by more than one level of 255.
"""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from common.domain.errors import ParametersRejectedError
from common.domain.models.traits import Guidance, PromptSyntax
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.messages import NO_INPUTS, CheckpointRefused, ImageReady, RunInterrupted
from gpu_subscriber.engine.models.catalog_check import found_traits
from gpu_subscriber.engine.tuning.memory_formats import takes_channels_last
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine
from tests.unit.gpu_subscriber.engine.families.family_cases import Model, each_case, each_sampler
from tests.unit.gpu_subscriber.engine.stock_oracle import largest_difference

STEP_TOLERANCE = 1e-5
"""Largest difference of a prediction in a batch, relative to the prediction's largest value."""
ENCODING_TOLERANCE = 1e-5
"""Largest difference of embeddings encoded together, relative to the largest value."""


def assert_same_picture(model: Model, driven: DrivenEngine, run_id: str, asked: GenerationParameters) -> None:
    assert largest_difference(driven.picture(run_id), model.drawn_by_stock(asked).pixels) <= 1


# ── alone ────────────────────────────────────────────────────────────────────────────────────────────────


@each_sampler()
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_single_run_equals_the_stock_pipeline(model: Model, sampler: Sampler, steps: int) -> None:
    guided = model.asked(sampler=sampler, steps=steps, guidance_scale=6.5, negative_prompt="blurry")
    model.assert_bit_equal(guided)
    model.assert_bit_equal(
        model.asked(sampler=sampler, steps=steps, guidance_scale=1.0, seed=2**32 - 1, **model.wide)
    )


@each_case
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 1.01, 20.0])
def test_guidance_equals_the_stock_pipeline(model: Model, scale: float) -> None:
    model.assert_bit_equal(model.asked(guidance_scale=scale, negative_prompt="a green square"))


@each_case
@pytest.mark.parametrize(
    ("prompt", "negative"),
    [("fox " * 40, "square " * 40), ("🦊 ❄️", "ß"), ("fox", "fox"), ("fox", ""), ("fox", None), (" ", " ")],
    ids=["long", "emoji", "equal", "empty", "omitted", "blank"],
)
def test_prompts_equal_the_stock_pipeline(model: Model, prompt: str, negative: str | None) -> None:
    model.assert_bit_equal(model.asked(prompt=prompt, negative_prompt=negative, steps=2))


# ── in batches ───────────────────────────────────────────────────────────────────────────────────────────


@each_case
def test_prompts_encoded_together_equal_those_encoded_alone(model: Model) -> None:
    """To float rounding, whatever their lengths."""
    asked = [
        model.asked(prompt="fox " * (1 + 3 * number), negative_prompt="blurry " * number or None)
        for number in range(4)
    ]
    model.family.drop_prompts()
    together = model.family.encode_together([(parameters, NO_INPUTS) for parameters in asked])
    for parameters, branches in zip(asked, together, strict=True):
        for rows, alone in zip(branches, model.family.encode_alone(parameters), strict=True):
            assert rows.keys() == alone.keys()
            for name, row in rows.items():
                assert row.shape == alone[name].shape
                assert (row - alone[name]).abs().max() <= ENCODING_TOLERANCE * alone[name].abs().max(), name


@each_case
@pytest.mark.parametrize("scale", [3.0, 1.0], ids=["guided", "unguided"])
def test_mixed_batch_equals_single_runs(model: Model, scale: float) -> None:
    """Every sampler at once, with different steps, prompts, guidance and seeds; one joins midway."""
    asked = {
        f"run-{number}": model.asked(
            sampler=model.spec.samplers[number % len(model.spec.samplers)],
            steps=3 + number % 4,
            seed=100 + number,
            guidance_scale=scale if scale == 1 else scale + number,
            prompt="fox " * (number + 1),
            negative_prompt="blurry " * (number % 3) or None,
        )
        for number in range(8)
    }
    driven = model.engine()
    for run_id, parameters in asked.items():
        if run_id == "run-7":
            driven.step(2)
        driven.start(run_id, parameters)
    driven.run_to_end()
    assert model.family.batches[:3] == [7, 7, 8]
    assert model.family.largest_error <= STEP_TOLERANCE
    for run_id, parameters in asked.items():
        assert_same_picture(model, driven, run_id, parameters)


@each_sampler()
def test_joining_and_leaving_runs_do_not_change_the_others(model: Model, sampler: Sampler) -> None:
    early, late = model.asked(sampler=sampler, steps=7, seed=1), model.asked(steps=3, seed=2)
    driven = model.engine()
    driven.start("early", early)
    driven.step(2)
    driven.start("late", late)
    driven.start("stopped", model.asked(steps=5, seed=3))
    driven.step()
    assert driven.steps_of("late") == [1]
    driven.interrupt("stopped")
    driven.run_to_end()
    assert model.family.largest_error <= STEP_TOLERANCE
    for run_id, asked in (("early", early), ("late", late)):
        assert_same_picture(model, driven, run_id, asked)
    (image,) = driven.of_kind(ImageReady, "early")
    assert image.draw_conditions.batches[:5] == (1, 1, 3, 2, 2)
    assert set(image.draw_conditions.batches[5:]) == {1}


@each_case
def test_each_image_of_a_task_has_its_own_seed(model: Model) -> None:
    parameters = model.asked(num_images=4, seed=40)
    driven = model.engine()
    driven.caps.learn_decoding(model.family.batch_key(parameters), 3)
    for index in range(4):
        driven.start(f"image-{index}", parameters, index=index)
    driven.run_to_end()
    assert set(model.family.batches) == {4}
    together = [image.draw_conditions.decoded_together for image in driven.of_kind(ImageReady)]
    assert together == [3, 3, 3, 1]
    for index in range(4):
        expected = model.drawn_by_stock(parameters, index=index)
        assert largest_difference(driven.picture(f"image-{index}"), expected.pixels) <= 1


@each_case
def test_runs_share_steps_when_their_passes_are_equal(model: Model) -> None:
    """A model that takes the scale as an input has one pass at any scale."""
    asked = [model.asked(seed=1, guidance_scale=5.0), model.asked(seed=2, guidance_scale=1.0)]
    driven = model.engine()
    for number, parameters in enumerate(asked):
        driven.start(str(number), parameters)
    driven.run_to_end()
    shares = asked[0].passes_per_step == asked[1].passes_per_step
    assert set(model.family.batches) == ({2} if shares else {1})


@each_case
def test_channels_last_equals_the_stock_pipeline_within_tolerance(model: Model) -> None:
    """Warm-up may choose either memory format; convolutions then sum in another order."""
    networks = {
        name: deepcopy(network).to(memory_format=torch.channels_last)
        for name in (model.family.network, "vae")
        if takes_channels_last(network := model.stock.components[name])
    }
    parameters = model.asked(steps=6)
    driven = model.with_parts(**networks).engine()
    driven.draw("last", parameters)
    assert_same_picture(model, driven, "last", parameters)


@each_case
def test_network_has_one_row_per_pass_in_each_step(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passes that estimates count are those that the network computes."""
    rows: list[int] = []
    forward = model.family.forward

    def counted(latents: torch.Tensor, *arguments: Any) -> torch.Tensor:
        rows.append(len(latents))
        return forward(latents, *arguments)

    monkeypatch.setattr(model.family, "forward", counted)
    for scale in (1.0, 5.0):
        rows.clear()
        parameters = model.asked(guidance_scale=scale)
        model.engine().draw("run", parameters)
        assert sum(rows) == parameters.passes_per_step * len(model.family.batches)


# ── resumed ──────────────────────────────────────────────────────────────────────────────────────────────


def checkpoint_of(model: Model, parameters: GenerationParameters, *, after_steps: int) -> bytes:
    driven = model.engine()
    driven.start("first", parameters)
    driven.step(after_steps)
    driven.interrupt("first", want_checkpoint=True)
    (stopped,) = driven.of_kind(RunInterrupted)
    assert stopped.checkpoint is not None
    checkpoint: bytes = stopped.checkpoint
    return checkpoint


@each_sampler()
def test_run_resumes_bit_equal(model: Model, sampler: Sampler) -> None:
    parameters = model.asked(sampler=sampler, steps=6)
    undisturbed = model.engine()
    undisturbed.draw("run", parameters)
    latents = model.family.final_latents[parameters.seed]
    for steps in (1, 3, 5):
        driven = resumed(model, parameters, checkpoint_of(model, parameters, after_steps=steps))
        (image,) = driven.of_kind(ImageReady)
        assert image.resumed_at_step == steps
        assert torch.equal(model.family.final_latents[parameters.seed], latents), steps
        assert np.array_equal(driven.picture("second"), undisturbed.picture("run"))


def resumed(model: Model, parameters: GenerationParameters, checkpoint: bytes) -> DrivenEngine:
    driven = model.engine()
    driven.start("second", parameters, checkpoint=checkpoint)
    driven.run_to_end()
    return driven


def refusal(model: Model, parameters: GenerationParameters, checkpoint: bytes) -> str | None:
    """Return why the checkpoint was refused."""
    refusals = resumed(model, parameters, checkpoint).of_kind(CheckpointRefused)
    return refusals[0].reason if refusals else None


@each_case
def test_checkpoint_of_another_network_is_refused(model: Model) -> None:
    parameters = model.asked()
    checkpoint = checkpoint_of(model, parameters, after_steps=2)
    assert refusal(model, parameters, checkpoint) is None
    networks = model.family.origin.networks
    assert {"vae", model.family.network, "text_encoder"} <= set(networks)
    for name, network in networks.items():
        trained = model.with_trained(name)
        assert refusal(trained, parameters, checkpoint) == "made for another weights", name
        assert network is not trained.family.origin.networks[name]


@each_case
def test_checkpoint_of_another_scheduler_configuration_is_refused(model: Model) -> None:
    parameters = model.asked(sampler=Sampler.OWN)
    checkpoint = checkpoint_of(model, parameters, after_steps=2)
    own = model.stock.scheduler
    changes = (
        {"shift": 2.0} if "shift" in own.config else {"flow_shift": 2.0}
        if own.config.get("use_flow_sigmas") else {"timestep_spacing": "leading"}
    )  # fmt: skip
    other = model.with_parts(scheduler=type(own).from_config(own.config, **changes))
    assert refusal(other, parameters, checkpoint) == "made for another sampler"


# ── traits ───────────────────────────────────────────────────────────────────────────────────────────────


@each_case
def test_traits_of_the_folder_are_those_of_the_loaded_pipeline(model: Model) -> None:
    found = found_traits(model.stock)
    assert found.is_known
    assert (model.spec.traits, model.spec.samplers) == (found.traits, found.samplers)
    assert model.spec.traits.inputs == model.case.inputs
    assert model.spec.samplers == model.case.samplers
    assert model.spec.limits.side_multiple == found.side_multiple


@each_case
def test_every_offered_parameter_changes_the_picture(model: Model) -> None:
    usual: dict[str, Any] = {"steps": 3, "guidance_scale": 6.0}

    def drawn(index: int = 0, **fields: Any) -> bytes:
        driven = model.engine()
        driven.start("run", model.asked(**usual, **fields), index=index)
        driven.run_to_end()
        return driven.picture("run").tobytes()

    offered: list[dict[str, Any]] = [{"prompt": "a blue fox"}, {"seed": 8}, {"index": 1}]
    offered += [{"steps": 5}, *({name: side} for name, side in model.wide.items() if name == "width")]
    if model.spec.traits.guidance is not Guidance.NONE:
        offered.append({"guidance_scale": 9.0})
    if model.spec.traits.negative_prompt:
        offered.append({"negative_prompt": "blue"})
    if model.spec.traits.max_clip_skip:
        offered += [{"clip_skip": 1}, {"clip_skip": model.spec.traits.max_clip_skip}]
    if model.spec.traits.guidance_rescale:
        offered.append({"guidance_rescale": 0.7})
    if model.spec.traits.eta:
        offered.append({"eta": 0.5})  # the first sampler is ddim
    if PromptSyntax.WEIGHTED in model.spec.traits.prompt_syntaxes:
        offered.append({"prompt_syntax": PromptSyntax.WEIGHTED, "prompt": "a red (fox:1.3)"})
    before = drawn()
    for change in offered:
        usual_but_changed = {name: usual.pop(name) for name in change if name in usual}
        assert drawn(**change) != before, change
        usual |= usual_but_changed
    pictures = {drawn(sampler=sampler) for sampler in model.spec.samplers}
    # The model's own scheduler is one of the named samplers, too.
    assert len(pictures) >= len(model.spec.samplers) - 1


@each_case
def test_every_other_parameter_is_refused(model: Model) -> None:
    spec = model.spec
    refused: list[dict[str, Any]] = [
        {"sampler": sampler} for sampler in Sampler if sampler not in spec.samplers
    ]
    refused += [{"width": 32 + spec.limits.side_multiple // 2}, {"steps": spec.limits.min_steps - 1}]
    if spec.traits.guidance is Guidance.NONE:
        refused.append({"guidance_scale": 5.0})
    if not spec.traits.negative_prompt:
        refused.append({"negative_prompt": "blue"})
    traits = spec.traits
    refused += [{"clip_skip": traits.max_clip_skip + 1}, {"eta": 0.5, "sampler": Sampler.OWN}]
    refused += [
        {"guidance_rescale": 0.5, "guidance_scale": traits.guidance_off_at},
        {"guidance_rescale": 1.1},
    ]
    if not traits.guidance_rescale:
        refused.append({"guidance_rescale": 0.7})
    if not traits.eta:
        refused.append({"eta": 0.5})
    refused += [{"prompt_syntax": syntax} for syntax in PromptSyntax if syntax not in traits.prompt_syntaxes]
    for change in refused:
        with pytest.raises(ParametersRejectedError):
            spec.completed({"prompt": "a red fox", **change}, seed=7)
