"""The fleet simulation finishes images when the engine does, on a device with known times."""

from random import Random
from typing import Any

import pytest

from benchmarks.autoscaling.traces import Submission
from benchmarks.fleet.simulated_engine import Image
from benchmarks.fleet.sizing import run_fixed
from benchmarks.fleet.step_times import key_of, step_times
from gpu_subscriber.engine.messages import ImageReady
from tests.unit.gpu_subscriber.engine.conftest import DECODE_SECONDS, STEP_SECONDS, TimedFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE

MAX_BATCH = 3
SIDES = (SIDE, SIDE + 8)


def trace(seed: int) -> list[Image]:
    """Return images of two sizes that arrive at random times, in order."""
    random = Random(seed)
    moments = sorted(random.choice((0.0, random.uniform(0, 200))) for _ in range(10))
    return [
        Image(
            Submission(at, 1.0, 1.0),
            1.0,
            key=key_of("tiny", side, side),
            steps_left=random.randint(1, 6),
        )
        for at in moments
        for side in (random.choice(SIDES),)
    ]


def ends_in_the_engine(stock: Any, images: list[Image]) -> dict[str, float]:
    """Drive the engine as a worker does: it has at most MAX_BATCH images at once."""

    def work(seconds: float) -> None:
        driven.pass_time(seconds)

    driven = DrivenEngine(TimedFamily(stock, work), max_batch=MAX_BATCH, checkpoint_interval_seconds=0)
    ends: dict[str, float] = {}
    coming = list(enumerate(images))
    while coming or driven.engine.is_busy:
        running = len(images) - len(coming) - len(ends)
        while coming and coming[0][1].submission.at <= driven.now and running < MAX_BATCH:
            number, image = coming.pop(0)
            asked = drawing(
                seed=number, steps=image.steps_left, width=image.key.width, height=image.key.height
            )
            driven.start(str(number), asked, queued_at=image.submission.at)
            running += 1
        if driven.engine.is_busy:
            driven.step()
        else:
            driven.pass_time(coming[0][1].submission.at - driven.now)
        for ready in driven.of_kind(ImageReady):
            ends.setdefault(ready.run_id, driven.now)
    return ends


@pytest.mark.parametrize("seed", range(4))
def test_simulated_images_end_when_the_engine_finishes_them(stock: Any, seed: int) -> None:
    measured = ends_in_the_engine(stock, trace(seed))
    (times,) = step_times(
        {
            "model": "tiny",
            "width": side,
            "height": side,
            "batch": batch,
            "step_seconds": STEP_SECONDS,
            "around_seconds": DECODE_SECONDS,
        }
        for side in SIDES
        for batch in range(1, MAX_BATCH + 1)
    )
    images = trace(seed)
    run_fixed(images, times, caps=times.caps(max_batch=MAX_BATCH), gpus=1, seed=1)
    simulated = {str(number): image.finished_at for number, image in enumerate(images)}
    assert simulated == pytest.approx(measured)
