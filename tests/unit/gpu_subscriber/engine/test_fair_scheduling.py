"""The bounds of the schedule, on a simulated device that works through random arrivals."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.domain.task import Lane
from gpu_subscriber.engine.batches.batch_planning import (
    BatchKey,
    Candidate,
    LastLoad,
    SchedulingDelays,
    plan_batch,
)
from gpu_subscriber.engine.batches.round_robin import RoundRobin

QUANTUM = 0.5
PATIENCE = 20.0
SWITCH = 5.0
COSTS = st.sampled_from([0.0625, 0.125, 0.25, 0.5, 0.75, 2.0])
"""Seconds of a step. All are binary fractions, so sums are exact."""


def key_of(number: int, model: str = "tiny") -> BatchKey:
    return BatchKey(model=model, width=64 * (number + 1), height=64, branches=2)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A Run that arrives once the simulated device has worked for `at` seconds."""

    key: int
    steps: int
    at: float = 0.0
    lane: Lane = Lane.INTERACTIVE
    model: str = "tiny"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a batch, and the Runs that were waiting when it was planned."""

    began_at: float
    seconds: float
    batch: tuple[Candidate, ...]
    waiting: tuple[Candidate, ...]

    @property
    def key(self) -> BatchKey:
        return self.batch[0].key

    @property
    def runs(self) -> set[str]:
        return {candidate.run_id for candidate in self.batch}


@dataclass(kw_only=True)
class Simulation:
    """A device whose step takes `costs[key]` seconds, and reports them `lag` steps later.

    It holds one model, and loads another one in `load_seconds`.
    """

    arrivals: Sequence[Arrival]
    costs: Sequence[float]
    cap: int = 4
    lag: int = 0
    load_seconds: float = 0.0
    plan: Callable[..., tuple[Candidate, ...]] = plan_batch
    now: float = 0.0
    steps: list[Step] = field(default_factory=list)
    finished_at: dict[str, float] = field(default_factory=dict)
    loaded: str = "tiny"
    loads: list[LastLoad] = field(default_factory=list)

    def run(self) -> "Simulation":
        round_robin = RoundRobin[BatchKey](quantum_seconds=QUANTUM)
        unsettled: deque[tuple[BatchKey, float, float]] = deque()
        coming = deque(sorted(enumerate(self.arrivals), key=lambda entry: entry[1].at))
        waiting: dict[str, Candidate] = {}
        left: dict[str, int] = {}
        while coming or waiting:
            if not waiting:
                self.now = max(self.now, coming[0][1].at)
            while coming and coming[0][1].at <= self.now:
                number, arrival = coming.popleft()
                waiting[str(number)] = Candidate(
                    run_id=str(number),
                    key=key_of(arrival.key, arrival.model),
                    lane=arrival.lane,
                    queued_at=arrival.at,
                    arrived_at=self.now,
                    arrival=number,
                )
                left[str(number)] = arrival.steps
            batch = self.plan(
                waiting.values(),
                round_robin=round_robin,
                loaded=frozenset({self.loaded}),
                cap_of=lambda _: self.cap,
                now=self.now,
                last_load=self.loads[-1] if self.loads else LastLoad(),
                delays=SchedulingDelays(model_switch_seconds=SWITCH, batch_lane_seconds=PATIENCE),
            )
            key = batch[0].key
            if key.model != self.loaded:
                self.now += self.load_seconds
                self.loaded = key.model
                self.loads.append(LastLoad(ended_at=self.now, seconds=self.load_seconds))
            seconds = self.costs[key.width // 64 - 1]
            self.steps.append(
                Step(began_at=self.now, seconds=seconds, batch=batch, waiting=tuple(waiting.values()))
            )
            unsettled.append((key, round_robin.expect(key), seconds))
            if len(unsettled) > self.lag:
                round_robin.settle(*unsettled.popleft())
            self.now += seconds
            for candidate in batch:
                left[candidate.run_id] -= 1
                if not left[candidate.run_id]:
                    del waiting[candidate.run_id]
                    self.finished_at[candidate.run_id] = self.now
        return self


def oldest_key_first(
    candidates: Sequence[Candidate], *, cap_of: Callable[[BatchKey], int], **_: object
) -> tuple[Candidate, ...]:
    """The rule without a round robin: the key of the oldest Run keeps the device."""
    ordered = sorted(candidates, key=lambda candidate: (candidate.queued_at, candidate.arrival))
    key = ordered[0].key
    return tuple([candidate for candidate in ordered if candidate.key == key][: cap_of(key)])


def arrivals(
    *, keys: int = 4, lanes: Sequence[Lane] = (Lane.INTERACTIVE,), models: Sequence[str] = ("tiny",)
) -> st.SearchStrategy[list[Arrival]]:
    return st.lists(
        st.builds(
            Arrival,
            key=st.integers(0, keys - 1),
            steps=st.integers(1, 12),
            at=st.integers(0, 40).map(lambda eighths: eighths / 8),
            lane=st.sampled_from(lanes),
            model=st.sampled_from(models),
        ),
        min_size=1,
        max_size=12,
    )


@given(
    arrivals=arrivals(lanes=tuple(Lane)),
    costs=st.lists(COSTS, min_size=4, max_size=4),
    cap=st.integers(1, 4),
    lag=st.integers(0, 2),
)
def test_every_batch_has_one_key_within_its_cap_and_all_runs_finish(
    arrivals: list[Arrival], costs: list[float], cap: int, lag: int
) -> None:
    simulation = Simulation(arrivals=arrivals, costs=costs, cap=cap, lag=lag).run()
    for step in simulation.steps:
        sharing = [candidate for candidate in step.waiting if candidate.key == step.key]
        assert {candidate.key for candidate in step.batch} == {step.key}
        assert len(step.runs) == len(step.batch) == min(cap, len(sharing))
    taken = [run for step in simulation.steps for run in step.runs]
    assert all(taken.count(str(number)) == run.steps for number, run in enumerate(arrivals))


@given(arrivals=arrivals(lanes=tuple(Lane)), costs=st.lists(COSTS, min_size=4, max_size=4))
def test_first_rank_takes_every_step(arrivals: list[Arrival], costs: list[float]) -> None:
    def is_first(candidate: Candidate, now: float) -> bool:
        return candidate.lane is Lane.INTERACTIVE or now - candidate.arrived_at >= PATIENCE

    for step in Simulation(arrivals=arrivals, costs=costs).run().steps:
        if any(is_first(candidate, step.began_at) for candidate in step.waiting):
            assert is_first(step.batch[0], step.began_at)


@given(arrivals=arrivals(), cost=st.sampled_from([0.0625, 0.125, 0.25, 0.375, 0.5]))
def test_run_within_its_cap_waits_one_turn_of_each_other_key(arrivals: list[Arrival], cost: float) -> None:
    """The documented bound: (K - 1) × ceil(quantum / step) steps, also before the first step."""
    simulation = Simulation(arrivals=arrivals, costs=[cost] * 4, cap=len(arrivals)).run()
    waited: dict[str, int] = defaultdict(int)
    keys: dict[str, set[BatchKey]] = defaultdict(set)
    for step in simulation.steps:
        for candidate in step.waiting:
            run_id = candidate.run_id
            if run_id in step.runs:
                waited[run_id], keys[run_id] = 0, set()
                continue
            waited[run_id] += 1
            keys[run_id] |= {other.key for other in step.waiting} - {candidate.key}
            assert waited[run_id] <= len(keys[run_id]) * ceil(QUANTUM / cost)


@given(costs=st.lists(COSTS, min_size=2, max_size=4), lag=st.integers(0, 2))
def test_busy_keys_get_equal_shares_of_the_device(costs: list[float], lag: int) -> None:
    """Their seconds differ by a quantum and the steps in flight, however expensive their steps are."""
    endless = [Arrival(key=key, steps=int(60 / cost)) for key, cost in enumerate(costs)]
    used = dict.fromkeys(map(key_of, range(len(costs))), 0.0)
    for step in Simulation(arrivals=endless, costs=costs, lag=lag).run().steps:
        if len(step.waiting) < len(costs):
            break
        used[step.key] += step.seconds
        most, least = max(used, key=used.__getitem__), min(used, key=used.__getitem__)
        in_flight = (lag + 1) * (costs[most.width // 64 - 1] + costs[least.width // 64 - 1])
        assert used[most] - used[least] <= QUANTUM + in_flight


@given(arrivals=arrivals(), costs=st.lists(COSTS, min_size=4, max_size=4))
def test_device_works_no_longer_than_one_key_at_a_time(arrivals: list[Arrival], costs: list[float]) -> None:
    at_once = [Arrival(key=run.key, steps=run.steps) for run in arrivals]
    fair = Simulation(arrivals=at_once, costs=costs, cap=len(arrivals)).run()
    serial = Simulation(arrivals=at_once, costs=costs, cap=len(arrivals), plan=oldest_key_first).run()
    assert fair.now == serial.now


@given(arrivals=arrivals(models=("tiny", "other")), load_seconds=st.sampled_from([0.5, 2.0, 10.0]))
def test_busy_model_keeps_the_device_for_as_long_as_its_load_took(
    arrivals: list[Arrival], load_seconds: float
) -> None:
    simulation = Simulation(arrivals=arrivals, costs=[0.25] * 4, load_seconds=load_seconds).run()
    began = {step.began_at: step for step in simulation.steps}
    for before, load in pairwise([LastLoad(ended_at=0.0), *simulation.loads]):
        used = load.ended_at - load.seconds - before.ended_at
        others = {candidate.key.model for candidate in began[load.ended_at].waiting}
        assert used >= max(SWITCH, before.seconds) or others == {began[load.ended_at].key.model}


def test_two_busy_models_alternate() -> None:
    busy = [Arrival(key=0, steps=400, model=model) for model in ("tiny", "other")]
    simulation = Simulation(arrivals=busy, costs=[0.125], load_seconds=10.0).run()
    assert simulation.now == 100.0 + 10.0 * len(simulation.loads)
    assert len(simulation.loads) == 10  # after 5 s of steps, then after 10 s each


def test_young_runs_overtake_a_long_run_of_another_key() -> None:
    long, young = Arrival(key=0, steps=50), [Arrival(key=1, steps=4, at=0.25)] * 7
    costs = [0.25, 0.25]
    old_rule, fair = (
        Simulation(arrivals=[long, *young], costs=costs, cap=8, plan=plan).run()
        for plan in (oldest_key_first, plan_batch)
    )
    assert old_rule.finished_at["1"] == 50 * 0.25 + 4 * 0.25
    assert fair.finished_at["1"] == 0.25 + 4 * 0.25 + 3 * 0.25  # its own steps between three of the other key
    assert fair.finished_at["0"] == old_rule.finished_at["1"] == fair.now


def test_key_whose_runs_come_one_by_one_pays_its_debt() -> None:
    """Whole images of 5 s, one every 6 s, against a busy key of cheap steps."""
    whole = [Arrival(key=0, steps=1, at=6.0 * number) for number in range(12)]
    busy = Arrival(key=1, steps=160)
    simulation = Simulation(arrivals=[*whole, busy], costs=[5.0, 0.125]).run()
    busy_until = simulation.finished_at[str(len(whole))]
    spent = sum(
        step.seconds for step in simulation.steps if step.key == key_of(0) and step.began_at < busy_until
    )
    assert spent <= 160 * 0.125 + QUANTUM + 5.0 + 0.125


def test_preempted_keys_keep_their_order() -> None:
    """Brief interactive Runs do not give the older of two waiting keys every step."""
    batch = [Arrival(key=key, steps=40, lane=Lane.BATCH) for key in (0, 1)]
    brief = [Arrival(key=2, steps=1, at=0.5 * number) for number in range(40)]
    simulation = Simulation(arrivals=[*batch, *brief], costs=[0.25] * 3).run()
    steps = [step.key for step in simulation.steps if step.key != key_of(2)][:20]
    assert steps.count(key_of(0)) == pytest.approx(10, abs=ceil(QUANTUM / 0.25))
