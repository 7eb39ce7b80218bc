"""Checkpoints: a Run stopped anywhere goes on elsewhere as if nothing had happened, or starts over."""

from typing import Any

import numpy as np
import pytest
import torch

from common.domain.parameters import Sampler
from gpu_subscriber.engine import checkpoint as checkpoints
from gpu_subscriber.engine.messages import CheckpointReady, ImageReady, RunInterrupted, StepDone
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing

STEPS = 7


def stopped_after(stock: Any, steps: int, **changes: Any) -> bytes:
    """A checkpoint that an engine made which then is gone."""
    driven = DrivenEngine(RecordingFamily(stock))
    driven.start("first", drawing(steps=STEPS, **changes))
    driven.step(steps)
    driven.interrupt("first", want_checkpoint=True)
    (stopped,) = driven.of_kind(RunInterrupted)
    assert stopped.step > 0
    assert stopped.checkpoint is not None
    return stopped.checkpoint


def resumed(stock: Any, checkpoint: bytes | None, **changes: Any) -> tuple[torch.Tensor, DrivenEngine]:
    """Final latents of the same Run in a fresh engine."""
    family = RecordingFamily(stock)
    driven = DrivenEngine(family)
    driven.start("second", drawing(steps=STEPS, **changes), checkpoint=checkpoint)
    driven.run_to_end()
    return family.final_latents[drawing().seed], driven


@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("steps", [1, 2, 4, 6])
def test_a_resumed_run_is_bit_equal_to_an_undisturbed_one(stock: Any, sampler: Sampler, steps: int) -> None:
    undisturbed, before = resumed(stock, None, sampler=sampler)
    checkpoint = stopped_after(stock, steps, sampler=sampler)
    latents, after = resumed(stock, checkpoint, sampler=sampler)
    (image,) = after.of_kind(ImageReady)
    assert image.resumed_at_step == steps
    assert torch.equal(latents, undisturbed)
    assert np.array_equal(after.picture("second"), before.picture("second"))


def test_a_run_may_be_stopped_and_resumed_again_and_again(stock: Any) -> None:
    undisturbed, _ = resumed(stock, None, sampler=Sampler.UNIPC)
    checkpoint = None
    for _ in range(3):
        driven = DrivenEngine(RecordingFamily(stock))
        driven.start("part", drawing(steps=STEPS, sampler=Sampler.UNIPC), checkpoint=checkpoint)
        driven.step(2)
        driven.interrupt("part", want_checkpoint=True)
        checkpoint = driven.of_kind(RunInterrupted)[0].checkpoint
    latents, driven = resumed(stock, checkpoint, sampler=Sampler.UNIPC)
    assert torch.equal(latents, undisturbed)
    assert driven.steps_of("second") == [7]


def test_the_first_report_of_a_resumed_run_is_the_step_after(stock: Any) -> None:
    _, driven = resumed(stock, stopped_after(stock, 3))
    assert [message.step for message in driven.of_kind(StepDone)] == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"sampler": Sampler.EULER},
        {"prompt": "a blue fox"},
        {"guidance_scale": 4.0},
        {"width": 40},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_checkpoint_of_another_picture_is_refused_and_the_run_starts_over(
    stock: Any, changes: dict[str, Any]
) -> None:
    checkpoint = stopped_after(stock, 3)
    family = RecordingFamily(stock)
    driven = DrivenEngine(family)
    driven.start("other", drawing(steps=STEPS, **changes), checkpoint=checkpoint)
    driven.run_to_end()
    (image,) = driven.of_kind(ImageReady)
    assert image.resumed_at_step == 0
    assert driven.steps_of("other") == list(range(1, STEPS + 1))


def test_how_many_images_and_which_format_do_not_change_a_picture(stock: Any) -> None:
    _, driven = resumed(stock, stopped_after(stock, 3), num_images=4, output_format="webp")
    assert driven.of_kind(ImageReady)[0].resumed_at_step == 3


def test_a_checkpoint_of_other_software_is_refused(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = stopped_after(stock, 3)
    monkeypatch.setattr(checkpoints, "software_versions", lambda: {"torch": "9.9"})
    _, driven = resumed(stock, checkpoint)
    assert driven.of_kind(ImageReady)[0].resumed_at_step == 0


@pytest.mark.parametrize("place", [0, 20, 100, -1])
def test_a_damaged_checkpoint_is_refused(stock: Any, place: int) -> None:
    checkpoint = bytearray(stopped_after(stock, 3, sampler=Sampler.DPMPP_2M))
    checkpoint[place] ^= 1
    undisturbed, _ = resumed(stock, None, sampler=Sampler.DPMPP_2M)
    latents, driven = resumed(stock, bytes(checkpoint), sampler=Sampler.DPMPP_2M)
    assert driven.of_kind(ImageReady)[0].resumed_at_step == 0
    assert torch.equal(latents, undisturbed)


@pytest.mark.parametrize("junk", [b"", b"junk", checkpoints.MAGIC, checkpoints.MAGIC + bytes(64)])
def test_junk_is_refused(stock: Any, junk: bytes) -> None:
    _, driven = resumed(stock, junk)
    assert driven.of_kind(ImageReady)[0].resumed_at_step == 0


def test_a_checkpoint_never_holds_the_prompt(stock: Any) -> None:
    assert b"a red fox" not in stopped_after(stock, 3)


def test_long_runs_are_saved_every_few_seconds_unasked(family: RecordingFamily) -> None:
    driven = DrivenEngine(family, checkpoint_interval_seconds=5.0)
    driven.start("long", drawing(steps=STEPS))
    for _ in range(STEPS):
        driven.now += 2.0
        driven.step()
    # Prepared at 2 s, so the intervals end at 8 s and at 14 s; the latter is the last step, which the image follows.
    assert [message.step for message in driven.of_kind(CheckpointReady)] == [4]


def test_a_run_that_never_stepped_has_nothing_to_save(driven: DrivenEngine) -> None:
    driven.start("new", drawing())
    driven.interrupt("new", want_checkpoint=True)
    assert driven.of_kind(RunInterrupted)[0].checkpoint is None
