"""Cost of periodic checkpoints for a long Run: the same images with and without them, in alternation.

Measures the engine's part: copying the state from the device and building a checkpoint. The parent stores it.
"""

from collections.abc import Iterator
from functools import partial

from benchmarks.measured_engine import measured_engine
from benchmarks.measurement import spread_of
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.models.warm_up import default_parameters

ROUNDS = 5
IMAGES = 4
STEPS = 100


def run(*, rounds: int = ROUNDS, images: int = IMAGES, steps: int = STEPS) -> Iterator[str]:
    """Yield the report's lines with the ratio of the two times."""
    interval = EngineSettings(models=()).checkpoint_interval_seconds
    seconds: dict[float, list[float]] = {0.0: [], interval: []}
    with measured_engine() as engine:
        plain = default_parameters(engine.spec).model_copy(update={"steps": steps})
        asked = [plain.model_copy(update={"seed": seed}) for seed in range(images)]
        for number in range(rounds):
            for chosen in sorted(seconds, reverse=number % 2 == 1):
                took = engine.timed(partial(engine.draw, asked, checkpoint_interval_seconds=chosen))
                seconds[chosen].append(took)
    ratios = [own / other for own, other in zip(seconds[interval], seconds[0.0], strict=True)]
    yield f"{images} images of {plain.width}², {steps} steps, a checkpoint each every {interval:g} s"
    yield f"without checkpoints            {spread_of(seconds[0.0]).said(' s', 2)}"
    yield f"with them                      {spread_of(ratios).said(' of that time', 3)}"
