"""Batch caps: lowered when memory runs out, and raised again slowly."""

from gpu_subscriber.engine.batches.batch_caps import STEPS_BEFORE_GROWTH, BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey

SMALL = BatchKey(model="tiny", width=32, height=32, branches=2)
LARGE = BatchKey(model="tiny", width=64, height=64, branches=2)


def full_steps(caps: BatchCaps, count: int) -> None:
    for _ in range(count):
        caps.fitted(SMALL, batch=caps.cap_of(SMALL))


def test_failed_batch_halves_the_cap_of_its_format() -> None:
    caps = BatchCaps(max_batch=8)
    caps.failed(SMALL, batch=8)
    assert (caps.cap_of(SMALL), caps.cap_of(LARGE)) == (4, 8)
    caps.failed(SMALL, batch=4)
    caps.failed(SMALL, batch=2)
    caps.failed(SMALL, batch=1)
    assert caps.cap_of(SMALL) == 1


def test_lowered_cap_grows_by_one_after_many_full_steps() -> None:
    caps = BatchCaps(max_batch=8)
    caps.failed(SMALL, batch=8)
    full_steps(caps, STEPS_BEFORE_GROWTH - 1)
    assert caps.cap_of(SMALL) == 4
    full_steps(caps, 1)
    assert caps.cap_of(SMALL) == 5


def test_smaller_batches_do_not_raise_the_cap() -> None:
    caps = BatchCaps(max_batch=8)
    caps.failed(SMALL, batch=8)
    for _ in range(2 * STEPS_BEFORE_GROWTH):
        caps.fitted(SMALL, batch=3)
        caps.fitted(LARGE, batch=4)
    assert caps.cap_of(SMALL) == 4


def test_cap_that_grew_too_far_shrinks_and_waits_longer() -> None:
    caps = BatchCaps(max_batch=8)
    caps.failed(SMALL, batch=8)
    full_steps(caps, STEPS_BEFORE_GROWTH)
    caps.failed(SMALL, batch=5)
    assert caps.cap_of(SMALL) == 4
    full_steps(caps, 2 * STEPS_BEFORE_GROWTH - 1)
    assert caps.cap_of(SMALL) == 4
    full_steps(caps, 1)
    assert caps.cap_of(SMALL) == 5


def test_cap_never_exceeds_the_allowed_or_measured_one() -> None:
    caps = BatchCaps(max_batch=4)
    caps.failed(SMALL, batch=4)
    full_steps(caps, 10 * STEPS_BEFORE_GROWTH)
    assert caps.cap_of(SMALL) == 4
    caps.learn(SMALL, 3)
    assert caps.cap_of(SMALL) == 3
