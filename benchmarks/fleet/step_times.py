"""The measured times of a device: a step by model, size and batch, and the time around the steps."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.domain.parameters import GenerationParameters, OutputFormat, Sampler
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey, best_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeTimes:
    """The times of one model at one size."""

    key: BatchKey
    steps: Mapping[int, float]
    """Seconds of a step by the number of images that share it; contains 1."""
    around: Mapping[int, float]
    """Seconds besides the steps by the number of images that end together; contains 1.

    Encoding their prompts, and decoding as far as it prolongs the run.
    """

    def step_seconds(self, batch: int) -> float:
        """Return the time of a step."""
        return _interpolated(self.steps, batch)

    def around_seconds(self, images: int) -> float:
        """Return the time besides the steps of images that end together."""
        return _interpolated(self.around, images) if images else 0.0

    def image_seconds(self, steps: int, *, batch: int) -> float:
        """Return the device's time per image in a full batch."""
        return (steps * self.step_seconds(batch) + self.around_seconds(batch)) / batch


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """The times of one model, by its batch keys, the size with the most pixels first."""

    model: str
    sizes: Mapping[BatchKey, SizeTimes]

    @property
    def main(self) -> SizeTimes:
        """The times of the largest size."""
        return next(iter(self.sizes.values()))

    def of_side(self, side: int) -> SizeTimes:
        """Return the times of square images. Raises ValueError if they were not measured."""
        for times in self.sizes.values():
            if times.key.width == times.key.height == side:
                return times
        measured = ", ".join(str(key.width) for key in self.sizes)
        raise ValueError(f"{self.model} was measured at {measured} pixels (got {side})")

    def caps(self, *, max_batch: int) -> BatchCaps:
        """Return the engine's caps, as its warm-up would measure them at the largest size."""
        caps = BatchCaps(max_batch=max_batch)
        caps.learn(self.main.key, best_batch(dict(self.main.steps)))
        return caps

    def slots(self, *, max_batch: int) -> int:
        """Return how many images a worker gets at once: its cap at the largest size."""
        return self.caps(max_batch=max_batch).measured_cap_of(self.main.key)


def _interpolated(measured: Mapping[int, float], number: int) -> float:
    """Return a value, linear between the measured ones and proportional beyond them."""
    if number in measured:
        return measured[number]
    largest = max(measured)
    if number > largest:
        return measured[largest] * number / largest
    below = max(each for each in measured if each < number)
    above = min(each for each in measured if each > number)
    share = (number - below) / (above - below)
    return measured[below] + share * (measured[above] - measured[below])


def key_of(model: str, width: int, height: int) -> BatchKey:
    """Return the batch key of guided images."""
    return BatchKey.of(
        GenerationParameters(
            prompt="any",
            model=model,
            steps=1,
            guidance_scale=2.0,
            seed=0,
            sampler=Sampler.EULER,
            width=width,
            height=height,
            num_images=1,
            output_format=OutputFormat.PNG,
        )
    )


def step_times(rows: Iterable[Mapping[str, Any]]) -> tuple[StepTimes, ...]:
    """Return the times of each model from rows, which `benchmarks gpu` writes too.

    A row has `model`, `width`, `height`, `batch`, `step_seconds`, and `around_seconds` per image. Raises
    ValueError where the row of a batch of one is missing.
    """
    found: dict[tuple[str, int, int], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        found[row["model"], row["width"], row["height"]][row["batch"]] = row
    models: dict[str, dict[BatchKey, SizeTimes]] = defaultdict(dict)
    for (model, width, height), by_batch in sorted(
        found.items(), key=lambda entry: -entry[0][1] * entry[0][2]
    ):
        if 1 not in by_batch:
            raise ValueError(f"{model}, {width} × {height}: the row of batch 1 is missing")
        key = key_of(model, width, height)
        models[model][key] = SizeTimes(
            key=key,
            steps={batch: row["step_seconds"] for batch, row in sorted(by_batch.items())},
            around={batch: batch * row["around_seconds"] for batch, row in sorted(by_batch.items())},
        )
    return tuple(StepTimes(model=model, sizes=sizes) for model, sizes in sorted(models.items()))


def read_step_times(file: Path) -> tuple[StepTimes, ...]:
    """Return the times in a JSON file: its rows are in the list `step_times`."""
    return step_times(json.loads(file.read_text(encoding="utf-8"))["step_times"])
