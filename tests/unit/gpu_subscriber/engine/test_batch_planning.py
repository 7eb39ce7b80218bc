"""The plan: which Runs take the next step."""

from typing import Any

import pytest

from common.domain.models.lora import LoraChoice
from common.domain.task import Lane
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import (
    BatchKey,
    Candidate,
    LastLoad,
    SchedulingDelays,
    best_batch,
    plan_batch,
)
from gpu_subscriber.engine.batches.round_robin import RoundRobin

DELAYS = SchedulingDelays(model_switch_seconds=5.0, batch_lane_seconds=300.0)


def key(model: str = "demo", side: int = 256, branches: int = 2) -> BatchKey:
    return BatchKey(model=model, width=side, height=side, branches=branches)


def candidate(run_id: str, **changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "key": key(),
        "lane": Lane.INTERACTIVE,
        "queued_at": 0.0,
        "arrived_at": 0.0,
        "arrival": 0,
        **changes,
    }
    return Candidate(run_id=run_id, **fields)


def planned(
    *candidates: Candidate,
    cap: int = 8,
    loaded: tuple[str, ...] = ("demo",),
    now: float = 0.0,
    last_load: LastLoad = LastLoad(),  # noqa: B008 (frozen)
    most_lora_sets: int | None = None,
) -> list[str]:
    batch = plan_batch(
        candidates,
        round_robin=RoundRobin(),
        loaded=frozenset(loaded),
        cap_of=lambda _: cap,
        most_lora_sets_of=lambda _: most_lora_sets,
        now=now,
        last_load=last_load,
        delays=DELAYS,
    )
    return [chosen.run_id for chosen in batch]


def test_plan_is_empty_without_runs() -> None:
    assert planned() == []


def test_runs_with_the_same_key_share_a_step_oldest_first() -> None:
    assert planned(candidate("young", queued_at=2), candidate("old", queued_at=1)) == ["old", "young"]


def test_images_of_a_task_keep_their_order() -> None:
    assert planned(candidate("second", arrival=2), candidate("first", arrival=1)) == ["first", "second"]


def test_runs_wait_if_their_loras_exceed_the_slots() -> None:
    runs = [
        candidate(name, queued_at=number, loras=tuple(LoraChoice(name=lora, scale=1.0) for lora in name[:-1]))
        for number, name in enumerate(("a0", "b1", "2", "c3", "a4", "ab5", "6"))
    ]
    assert planned(*runs, most_lora_sets=2) == ["a0", "b1", "2", "a4", "6"]
    assert planned(*runs, most_lora_sets=2, cap=3) == ["a0", "b1", "2"]
    assert len(planned(*runs)) == len(runs)


def test_other_keys_wait_for_the_leading_batch() -> None:
    others = [
        candidate("larger", key=key(side=512)),
        candidate("unguided", key=key(branches=1)),
    ]
    assert planned(candidate("leader", queued_at=-1), *others) == ["leader"]


def test_youngest_runs_wait_when_the_cap_is_reached() -> None:
    runs = [candidate(str(age), queued_at=age) for age in (3, 1, 2)]
    assert planned(*runs, cap=2) == ["1", "2"]


def test_interactive_run_precedes_an_older_batch_run() -> None:
    batch = candidate("batch", lane=Lane.BATCH, queued_at=0, key=key(side=512))
    assert planned(batch, candidate("interactive", queued_at=9)) == ["interactive"]


def test_batch_runs_fill_the_remaining_slots() -> None:
    batch = candidate("batch", lane=Lane.BATCH, queued_at=0)
    assert planned(batch, candidate("interactive", queued_at=9)) == ["interactive", "batch"]


def test_batch_run_is_not_starved() -> None:
    batch = candidate("batch", lane=Lane.BATCH, queued_at=0, key=key(side=512))
    later = candidate("interactive", queued_at=9, arrived_at=299)
    assert planned(batch, later, now=299) == ["interactive"]
    assert planned(batch, later, now=300) == ["batch"]


def test_unloaded_model_waits_for_its_delay() -> None:
    other = candidate("other", key=key("sdxl"), queued_at=0)
    here = candidate("here", queued_at=4, arrived_at=4)
    assert planned(other, here, now=4.9) == ["here"]
    assert planned(other, here, now=5.0) == ["other"]


def test_unloaded_model_is_loaded_when_the_engine_is_idle() -> None:
    assert planned(candidate("other", key=key("sdxl"))) == ["other"]


def test_unloaded_model_does_not_wait_for_a_lower_lane() -> None:
    batch = candidate("batch", lane=Lane.BATCH)
    assert planned(batch, candidate("other", key=key("sdxl"), queued_at=9)) == ["other"]


def test_busy_models_alternate_without_evictions_per_step() -> None:
    """Both have waited long. The loaded one keeps the device until the switch is due again."""
    a = candidate("a", key=key("a"), queued_at=0)
    b = candidate("b", key=key("b"), queued_at=1)
    assert planned(a, b, loaded=("b",), now=100, last_load=LastLoad(ended_at=99)) == ["b"]
    assert planned(a, b, loaded=("b",), now=104, last_load=LastLoad(ended_at=99)) == ["a"]


def test_switch_back_waits_as_long_as_the_last_load_took() -> None:
    a = candidate("a", key=key("a"), queued_at=0)
    b = candidate("b", key=key("b"), queued_at=1)
    last_load = LastLoad(ended_at=100, seconds=60)
    assert planned(a, b, loaded=("b",), now=159, last_load=last_load) == ["b"]
    assert planned(a, b, loaded=("b",), now=160, last_load=last_load) == ["a"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 1.2, 4: 2.0, 8: 3.0}, 8),
        ({1: 1.0, 2: 2.0, 4: 4.0}, 1),
        ({1: 1.0, 2: 1.4, 4: 2.79}, 2),
        ({1: 1.0, 2: 1.5, 4: 3.5}, 2),
        ({1: 1.0, 2: 2.5}, 1),
    ],
    ids=["only one", "the larger the better", "no gain", "a gain of next to nothing", "too large", "slower"],
)
def test_cap_is_the_smallest_nearly_best_batch(seconds: dict[int, float], expected: int) -> None:
    assert best_batch(seconds) == expected


def test_cap_measured_on_one_size_applies_to_others() -> None:
    caps = BatchCaps(max_batch=16)
    caps.learn(key(side=256), 4)
    assert caps.cap_of(key(side=256)) == 4
    assert caps.cap_of(key(side=256, branches=1)) == 8
    assert caps.cap_of(key(side=512)) == 1
    assert caps.cap_of(key(side=64)) == 16


def test_unmeasured_model_may_fill_the_device() -> None:
    assert BatchCaps(max_batch=6).cap_of(key("unknown")) == 6


def test_failed_batch_halves_the_cap_of_its_key_only() -> None:
    caps = BatchCaps(max_batch=8)
    caps.failed(key(), batch=8)
    caps.failed(key(), batch=4)
    assert caps.cap_of(key()) == 2
    assert caps.cap_of(key(side=64)) == 8
    caps.failed(key(), batch=1)
    assert caps.cap_of(key()) == 1
