"""Cost of periodic checkpoints for a long Run: the same images with and without them.

Measures the engine's part: copying the state from the device and building a checkpoint.
"""

from collections.abc import Iterator
from functools import partial

from benchmarks.measured_engine import measured_engine
from benchmarks.measurement import ratios, spread_of
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.tuning.warm_up import default_parameters

ROUNDS = 5
IMAGES = 4
STEPS = 100


def run(*, rounds: int = ROUNDS, images: int = IMAGES, steps: int = STEPS) -> Iterator[str]:
    interval = EngineSettings(models=()).checkpoint_interval_seconds
    seconds: dict[float, list[float]] = {0.0: [], interval: []}
    with measured_engine() as engine:
        plain = default_parameters(engine.spec).model_copy(update={"steps": steps})
        requests = [plain.model_copy(update={"seed": seed}) for seed in range(images)]
        for number in range(rounds):
            for each in sorted(seconds, reverse=number % 2 == 1):
                generate = partial(engine.generate, requests, checkpoint_interval_seconds=each)
                seconds[each].append(engine.timed(generate))
    yield f"{images} images of {plain.width}², {steps} steps, checkpoints every {interval:g} s"
    yield f"without checkpoints            {spread_of(seconds[0.0]).format(' s', 2)}"
    yield f"with checkpoints               {ratios(seconds[interval], seconds[0.0]).format(' of that time', 3)}"
