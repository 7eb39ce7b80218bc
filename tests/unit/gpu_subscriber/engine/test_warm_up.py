"""Warm-up: its measurements are used, and a mix is never slower than one Run at a time."""

import time
from typing import Any

import pytest
import torch

from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.tuning import batch_sizes
from gpu_subscriber.engine.tuning.timing import shortest_wait
from gpu_subscriber.engine.tuning.warm_up import default_parameters, warm_up
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, spec

TINY = spec()


class PacedFamily(RecordingFamily):
    """A forward of `batch` Runs takes `milliseconds[batch]` of its thread's processor time."""

    milliseconds: dict[int, float]

    def predict(self, states: Any) -> list[torch.Tensor]:
        self.batches.append(len(states))
        until = time.thread_time() + self.milliseconds[len(states)] / 1000
        while time.thread_time() < until:
            pass
        return [state.latents for state in states]


def measured_cap(
    stock: Any, milliseconds: dict[int, float], *, max_batch: int = 8
) -> tuple[int, PacedFamily]:
    family = PacedFamily(stock)
    family.milliseconds = milliseconds
    caps = BatchCaps(max_batch=max_batch)
    warm_up(family, TINY, CPU, caps, measure=True)
    return caps.cap_of(BatchKey.of(default_parameters(TINY))), family


def test_warm_up_uses_batches_that_are_faster(stock: Any) -> None:
    assert measured_cap(stock, {1: 10, 2: 12, 4: 16, 8: 24})[0] == 8


def test_warm_up_ignores_batches_that_are_not_faster(stock: Any) -> None:
    cap, family = measured_cap(stock, {1: 10, 2: 30})
    assert cap == 1
    assert max(family.batches) == 2


def test_warm_up_cap_never_exceeds_the_allowed_one(stock: Any) -> None:
    assert measured_cap(stock, {1: 10, 2: 12, 3: 13}, max_batch=3)[0] == 2


def test_warm_up_without_measuring_keeps_the_allowed_cap(stock: Any) -> None:
    family = PacedFamily(stock)
    family.milliseconds = {1: 0}
    caps = BatchCaps(max_batch=5)
    assert warm_up(family, TINY, CPU, caps, measure=False) is None
    assert caps.cap_of(BatchKey.of(default_parameters(TINY))) == 5


def test_out_of_memory_ends_the_batch_measurement(stock: Any) -> None:
    class Narrow(PacedFamily):
        def predict(self, states: Any) -> list[torch.Tensor]:
            if len(states) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return super().predict(states)

    family = Narrow(stock)
    family.milliseconds = {1: 10, 2: 12}
    caps = BatchCaps(max_batch=8)
    warm_up(family, TINY, CPU, caps, measure=True)
    assert caps.cap_of(BatchKey.of(default_parameters(TINY))) == 2


def test_warm_up_reports_the_time_of_an_image(stock: Any) -> None:
    family = PacedFamily(stock)
    family.milliseconds = {1: 20, 2: 40}
    measured = warm_up(family, TINY, CPU, BatchCaps(max_batch=2), measure=True)
    assert measured is not None
    assert (measured.model, measured.steps) == ("tiny", default_parameters(TINY).steps)
    assert measured.times.step_seconds >= 0.0199  # two clocks differ slightly
    assert min(measured.times.preparing_seconds, measured.times.decoding_seconds) > 0


@pytest.mark.parametrize(
    ("durations", "shortest", "measured"),
    [
        ([0.1, 0.02, 0.09, 0.03, 0.05, 0.01], 0.02, 5),
        ([0.4, 0.7, 0.1], 0.4, 2),
        ([3.0, 0.1], 3.0, 1),
    ],
    ids=["fast", "slower", "slow"],
)
def test_shortest_wait_ignores_slow_ones_within_its_budget(
    durations: list[float], shortest: float, measured: int
) -> None:
    remaining = iter(durations)
    assert shortest_wait(lambda: next(remaining)) == shortest
    assert len(durations) - len(list(remaining)) == measured


@pytest.mark.parametrize("measure", [True, False])
def test_real_family_warms_up(family: RecordingFamily, measure: bool) -> None:
    warm_up(family, TINY, CPU, BatchCaps(max_batch=2), measure=measure)
    assert family.batches


def test_slow_first_forward_of_a_size_does_not_end_the_measurement(
    stock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when each size is compiled first."""
    monkeypatch.setattr(batch_sizes, "BUDGET_SECONDS", 0.3)

    class Compiled(PacedFamily):
        def predict(self, states: Any) -> list[torch.Tensor]:
            is_first = len(states) not in self.batches
            self.milliseconds = dict.fromkeys((1, 2, 4, 8), 400 if is_first else 10)
            return super().predict(states)

    family = Compiled(stock)
    caps = BatchCaps(max_batch=8)
    warm_up(family, TINY, CPU, caps, measure=True)
    assert caps.cap_of(BatchKey.of(default_parameters(TINY))) == 8
