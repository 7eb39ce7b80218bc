"""Previews: when they are due, what they show, what they cost."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from common.domain.parameters import Sampler
from gpu_subscriber.engine.messages import PreviewReady
from gpu_subscriber.engine.runs.previews import (
    encode_preview,
    preview_is_due,
)
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing

CPU = torch.device("cpu")


def due_at(*, steps: int, seconds_per_step: float, interval: float = 1.0) -> list[int]:
    """Return the steps of a Run of even pace after which a preview is due."""
    shown: list[int] = []
    for done in range(1, steps + 1):
        since = (done - shown[-1]) * seconds_per_step if shown else None
        elapsed = done * seconds_per_step
        if preview_is_due(steps_done=done, steps=steps, elapsed=elapsed, since_last=since, interval=interval):
            shown.append(done)
    return shown


def test_long_run_has_a_preview_per_second_after_a_tenth() -> None:
    assert due_at(steps=40, seconds_per_step=0.5) == list(range(4, 40, 2))


@pytest.mark.parametrize(("seconds_per_step", "previews"), [(0.05, {2, 3}), (0.005, {1})])
def test_short_run_has_few_previews(seconds_per_step: float, previews: set[int]) -> None:
    assert len(due_at(steps=20, seconds_per_step=seconds_per_step)) in previews


def test_last_step_has_no_preview() -> None:
    assert due_at(steps=1, seconds_per_step=9.0) == []
    assert 4 not in due_at(steps=4, seconds_per_step=9.0)


def test_preview_is_a_small_jpeg(driven: DrivenEngine) -> None:
    driven.draw("run", drawing(width=64, height=32, steps=4))
    (preview,) = driven.of_kind(PreviewReady)
    image = Image.open(io.BytesIO(preview.jpeg))
    assert (image.format, image.size) == ("JPEG", (128, 64))
    assert len(preview.jpeg) < 4096
    assert preview.step == 1


def test_noisy_preview_fits_the_size_limit() -> None:
    """Firestore limits documents to 1 MiB.

    Even noise, JPEG's worst case, stays small after smooth upscaling.
    """
    noise = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert len(encode_preview(noise)) < 8192


def test_previews_do_not_change_the_image(stock: Any) -> None:
    pictures = []
    for interval in (0.0, 1e9):
        driven = DrivenEngine(RecordingFamily(stock), preview_interval_seconds=interval)
        driven.draw("run", drawing(sampler=Sampler.EULER_ANCESTRAL, steps=6))
        pictures.append(driven.picture("run"))
    assert np.array_equal(pictures[0], pictures[1])
