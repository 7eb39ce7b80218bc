"""Checkpoints: a Run stopped at any step resumes elsewhere with the same result, or starts over."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch

from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from common.domain.parameters import Sampler
from gpu_subscriber.engine.messages import (
    CheckpointReady,
    CheckpointRefused,
    FromEngine,
    ImageReady,
    RunInterrupted,
)
from gpu_subscriber.engine.models.model_provenance import software_versions
from gpu_subscriber.engine.runs import checkpoint as checkpoints
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing

STEPS = 7


def stopped_after(stock: Any, steps: int, **changes: Any) -> bytes:
    """Return a checkpoint from an engine that no longer exists."""
    driven = DrivenEngine(RecordingFamily(stock))
    driven.start("first", drawing(steps=STEPS, **changes))
    checkpoint = interrupted(driven, "first", after_steps=steps)
    assert checkpoint is not None
    return checkpoint


def resumed_at(driven: DrivenEngine) -> int:
    (image,) = driven.of_kind(ImageReady)
    return image.resumed_at_step


def interrupted(driven: DrivenEngine, run_id: str, *, after_steps: int) -> bytes | None:
    """Return the checkpoint of a run that is interrupted after some steps."""
    driven.step(after_steps)
    driven.interrupt(run_id, want_checkpoint=True)
    (stopped,) = driven.of_kind(RunInterrupted, run_id)
    return stopped.checkpoint


def resumed(stock: Any, checkpoint: bytes | None, **changes: Any) -> tuple[torch.Tensor, DrivenEngine]:
    """Return the final latents of the same Run in a new engine."""
    family = RecordingFamily(stock)
    driven = DrivenEngine(family)
    driven.start("second", drawing(steps=STEPS, **changes), checkpoint=checkpoint)
    driven.run_to_end()
    return family.final_latents[drawing().seed], driven


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_batch_resumes_bit_equal_after_any_step(stock: Any, sampler: Sampler) -> None:
    """Three Runs with shared state: their parts of the batch's predictions are views of one tensor."""
    seeds = (1, 2, 3)

    def drawn(checkpoints: dict[int, bytes | None]) -> tuple[dict[int, torch.Tensor], DrivenEngine]:
        family = RecordingFamily(stock)
        driven = DrivenEngine(family)
        for seed in seeds:
            wanted = drawing(steps=STEPS, sampler=sampler, seed=seed)
            driven.start(str(seed), wanted, checkpoint=checkpoints[seed])
        return family.final_latents, driven

    undisturbed, driven = drawn(dict.fromkeys(seeds))
    driven.run_to_end()
    for steps in range(1, STEPS):
        _, driven = drawn(dict.fromkeys(seeds))
        driven.step(steps)
        driven.engine.interrupt_all(want_checkpoints=True)
        left = {int(stopped.run_id): stopped.checkpoint for stopped in driven.of_kind(RunInterrupted)}
        latents, driven = drawn(left)
        driven.run_to_end()
        assert {image.resumed_at_step for image in driven.of_kind(ImageReady)} == {steps}
        assert all(torch.equal(latents[seed], undisturbed[seed]) for seed in seeds), steps


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_periodic_checkpoint_is_complete(stock: Any, sampler: Sampler) -> None:
    family = RecordingFamily(stock)
    driven = DrivenEngine(family, checkpoint_interval_seconds=1.0)
    driven.start("long", drawing(steps=STEPS, sampler=sampler))
    for _ in range(STEPS + 1):  # one sampler takes an extra step
        driven.now += 1.0
        driven.step()
    saved = driven.of_kind(CheckpointReady)
    assert len(saved) >= STEPS - 2
    for checkpoint in saved:
        latents, again = resumed(stock, checkpoint.checkpoint, sampler=sampler)
        assert resumed_at(again) == checkpoint.step
        assert torch.equal(latents, family.final_latents[drawing().seed]), checkpoint.step


def test_run_can_be_resumed_repeatedly(stock: Any) -> None:
    undisturbed, _ = resumed(stock, None, sampler=Sampler.UNIPC)
    checkpoint = None
    for _ in range(3):
        driven = DrivenEngine(RecordingFamily(stock))
        driven.start("part", drawing(steps=STEPS, sampler=Sampler.UNIPC), checkpoint=checkpoint)
        checkpoint = interrupted(driven, "part", after_steps=2)
    latents, driven = resumed(stock, checkpoint, sampler=Sampler.UNIPC)
    assert torch.equal(latents, undisturbed)
    assert driven.steps_of("second") == [7]


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
def test_checkpoint_of_another_image_is_refused(stock: Any, changes: dict[str, Any]) -> None:
    checkpoint = stopped_after(stock, 3)
    driven = DrivenEngine(RecordingFamily(stock))
    driven.start("other", drawing(steps=STEPS, **changes), checkpoint=checkpoint)
    driven.run_to_end()
    (image,) = driven.of_kind(ImageReady)
    assert image.resumed_at_step == 0
    assert driven.steps_of("other") == list(range(1, STEPS + 1))
    (refused,) = driven.of_kind(CheckpointRefused, "other")
    assert image.draw_conditions.started_over_because == refused.reason


def test_checkpoint_fits_other_image_counts_and_formats(stock: Any) -> None:
    _, driven = resumed(stock, stopped_after(stock, 3), num_images=4, output_format="webp")
    assert resumed_at(driven) == 3


def test_checkpoint_of_other_software_is_refused(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = stopped_after(stock, 3)
    torch_version = software_versions()["torch"]
    patched = {**software_versions(), "torch": torch_version + ".post9"}
    other = {**software_versions(), "torch": "9.9.1"}
    for versions, step in ((patched, 3), (other, 0)):
        monkeypatch.setattr(checkpoints, "software_versions", lambda versions=versions: versions)
        _, driven = resumed(stock, checkpoint)
        assert resumed_at(driven) == step
    assert driven.of_kind(CheckpointRefused)[0].reason == "made for another software"


def assert_refused(stock: Any, checkpoint: bytes) -> None:
    _, driven = resumed(stock, checkpoint)
    assert resumed_at(driven) == 0
    assert len(driven.of_kind(CheckpointRefused)) == 1


def rewritten(checkpoint: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return the checkpoint with other metadata and a matching checksum."""
    start = len(checkpoints.MAGIC) + 32
    body = checkpoint[start:]
    header_end = 8 + int.from_bytes(body[:8], "little")
    metadata = json.loads(json.loads(body[8:header_end])["__metadata__"]["darkroom"])
    change(metadata)
    tensors = safetensors.torch.load(body)
    body = safetensors.torch.save(tensors, metadata={"darkroom": json.dumps(metadata)})
    return checkpoints.MAGIC + hashlib.sha256(body).digest() + body


def from_the_future(metadata: dict[str, Any]) -> None:
    metadata["format_version"] += 1
    del metadata["identity"]


def without_a_version(metadata: dict[str, Any]) -> None:
    del metadata["format_version"]


def beyond_the_end(metadata: dict[str, Any]) -> None:
    metadata["step_index"] = STEPS + 1


def that_would_replace_a_method(metadata: dict[str, Any]) -> None:
    metadata["history"]["step"] = None


@pytest.mark.parametrize(
    "change", [from_the_future, without_a_version, beyond_the_end, that_would_replace_a_method]
)
def test_checkpoint_of_another_version_is_refused(
    stock: Any, change: Callable[[dict[str, Any]], None]
) -> None:
    assert_refused(stock, rewritten(stopped_after(stock, 3), change))


def test_rewritten_equal_checkpoint_is_accepted(stock: Any) -> None:
    _, driven = resumed(stock, rewritten(stopped_after(stock, 3), lambda metadata: None))
    assert resumed_at(driven) == 3


@pytest.mark.parametrize("kept", [10, 45, 500, -1])
def test_truncated_checkpoint_is_refused(stock: Any, kept: int) -> None:
    assert_refused(stock, stopped_after(stock, 3)[:kept])


@pytest.mark.parametrize("junk", [b"", b"junk", checkpoints.MAGIC, checkpoints.MAGIC + bytes(64)])
def test_arbitrary_bytes_are_refused(stock: Any, junk: bytes) -> None:
    assert_refused(stock, junk)


def test_oversized_checkpoint_is_neither_made_nor_read(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = stopped_after(stock, 3)
    monkeypatch.setattr(checkpoints, "MAX_CHECKPOINT_BYTES", len(checkpoint) - 1)
    _, driven = resumed(stock, checkpoint)
    assert resumed_at(driven) == 0
    driven.start("third", drawing(steps=STEPS))
    assert interrupted(driven, "third", after_steps=3) is None


def test_expensive_checkpoints_are_less_frequent(family: RecordingFamily) -> None:
    """Each takes 0.2 s, in 200 steps of 1 s: a share of 1 % allows ten of them, not forty."""

    class SlowToSave(DrivenEngine):
        def hear(self, message: FromEngine) -> None:
            self.now += 0.2 if isinstance(message, CheckpointReady) else 0.0
            super().hear(message)

    driven = SlowToSave(family, checkpoint_interval_seconds=5.0)
    driven.start("long", drawing(steps=200))
    for _ in range(200):
        driven.now += 1.0
        driven.step()
    assert 8 <= len(driven.of_kind(CheckpointReady)) <= 10


@pytest.mark.parametrize("place", [0, 20, 100, -1])
def test_damaged_checkpoint_is_refused(stock: Any, place: int) -> None:
    checkpoint = bytearray(stopped_after(stock, 3, sampler=Sampler.DPMPP_2M))
    checkpoint[place] ^= 1
    undisturbed, _ = resumed(stock, None, sampler=Sampler.DPMPP_2M)
    latents, driven = resumed(stock, bytes(checkpoint), sampler=Sampler.DPMPP_2M)
    assert resumed_at(driven) == 0
    assert torch.equal(latents, undisturbed)


def test_checkpoint_contains_no_prompt(stock: Any) -> None:
    assert b"a red fox" not in stopped_after(stock, 3)


def test_long_run_is_saved_every_few_seconds(family: RecordingFamily) -> None:
    driven = DrivenEngine(family, checkpoint_interval_seconds=5.0)
    driven.start("long", drawing(steps=STEPS))
    for _ in range(STEPS):
        driven.now += 2.0
        driven.step()
    # Prepared at 2 s, so the intervals end at 8 s and at 14 s; the latter is the last step, which
    # makes no checkpoint.
    assert [message.step for message in driven.of_kind(CheckpointReady)] == [4]


def test_run_without_a_step_has_no_checkpoint(driven: DrivenEngine) -> None:
    driven.start("new", drawing())
    assert interrupted(driven, "new", after_steps=0) is None
