"""A worker's life: it opens and reopens its stream, drains on request, and stops."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.adapters.system_clock import SystemClock
from common.domain.task import Phase, Task, TaskStatus
from common.domain.worker_report import BrokenModel
from common.ports import Clock
from gpu_subscriber.attempt.active_task import Pace
from gpu_subscriber.attempt.heartbeat import Heartbeat
from gpu_subscriber.engine.messages import EngineReady
from gpu_subscriber.errors import GenerationInterruptedError
from gpu_subscriber.ports import Checkpoint, Delivery, Piece, Settlement
from gpu_subscriber.worker.reconnecting_stream import ReconnectingStream
from gpu_subscriber.worker.reporter import Reporter
from gpu_subscriber.worker.worker import EXIT_BROKEN, EXIT_DRAINED, Worker
from tests.factories import parameters, submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_delivery_source import FakeDeliverySource, FakeDeliveryStream
from tests.fakes.in_memory_worker_reports import InMemoryWorkerReports
from tests.fakes.scripted_generator import ScriptedGeneration, grey_image
from tests.fakes.worker_bench import WorkerBench, delivery_of

PATIENCE_SECONDS = 60.0
READY = EngineReady(models=("demo",), device="fake", dtype="none", slots=3, versions={})


class FakeEngine:
    """An engine that the test makes ready and ends."""

    def __init__(self) -> None:
        self.ready: EngineReady | None = None
        self.started = threading.Event()
        self.ended = threading.Event()
        self._on_ready: Callable[[EngineReady], None] = lambda _ready: None

    def run(self, on_ready: Callable[[EngineReady], None]) -> None:
        self._on_ready = on_ready
        self.started.set()
        self.ended.wait(PATIENCE_SECONDS)

    def come_up(self, ready: EngineReady = READY) -> None:
        assert self.started.wait(PATIENCE_SECONDS)
        self.ready = ready
        self._on_ready(ready)

    def stop(self, *, within_seconds: float) -> None:
        self.ended.set()


class SourceThatHangs(FakeDeliverySource):
    """Opens one stream; the next call blocks until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = threading.Event()
        self.let_go = threading.Event()

    def open(
        self, process: Callable[[Delivery], Settlement], *, slots: int, on_end: Callable[[], None]
    ) -> FakeDeliveryStream:
        if self.streams:
            self.hangs.set()
            assert self.let_go.wait(PATIENCE_SECONDS)
        return super().open(process, slots=slots, on_end=on_end)


class RunningWorker:
    """A worker in a thread, on fakes, with its own heartbeat."""

    def __init__(
        self,
        bench: WorkerBench,
        *,
        drain_deadline_seconds: float = 5.0,
        source: FakeDeliverySource | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.bench = bench
        self.engine = FakeEngine()
        self.source = source or FakeDeliverySource()
        clock = clock or SystemClock()
        self.reports = InMemoryWorkerReports()
        bench.heartbeat = Heartbeat(clock=clock, claim_ttl=timedelta(seconds=60), pace=Pace())
        self.worker = Worker(
            source=self.source,
            process=bench.worker(),
            engine=self.engine,
            heartbeat=bench.heartbeat,
            reporting=Reporter(
                worker_id="worker-a",
                reports=self.reports,
                timing_stats=bench.timing_stats,
                clock=clock,
                interval_seconds=1_000,
            ),
            draining=bench.draining,
            clock=clock,
            drain_deadline_seconds=drain_deadline_seconds,
        )
        self._pool = ThreadPoolExecutor(1)
        self._exit_code = self._pool.submit(self.worker.run)

    def serve(self, ready: EngineReady = READY) -> FakeDeliveryStream:
        """Make the engine ready, and return the stream that the worker opens first."""
        self.engine.come_up(ready)
        return self.source.stream(0)

    def deliver(self, task: Task, *, stream: int = 0) -> Settlement:
        return self.source.stream(stream).deliver(delivery_of(task)).result(PATIENCE_SECONDS)

    def exit_code(self) -> int:
        return self._exit_code.result(PATIENCE_SECONDS)

    def stop(self) -> None:
        self.worker.request_drain()
        self._exit_code.result(PATIENCE_SECONDS)
        self._pool.shutdown()


@pytest.fixture
def running(bench: WorkerBench) -> Iterator[RunningWorker]:
    worker = RunningWorker(bench)
    yield worker
    worker.stop()


@pytest.mark.parametrize(
    ("ready", "slots"),
    [(READY, READY.slots + 1), (replace(READY, slots=1, exclusive=("demo",)), 1)],
    ids=["shared model", "whole pipeline"],
)
def test_stream_opens_with_the_engines_slots(running: RunningWorker, ready: EngineReady, slots: int) -> None:
    assert not running.worker.state.ready
    assert running.serve(ready).slots == slots
    assert running.worker.state.alive


def test_worker_reports_its_start_and_its_drain(running: RunningWorker) -> None:
    assert not running.reports.published
    running.engine.come_up()
    assert running.reports.anything_published.wait(PATIENCE_SECONDS)
    running.stop()
    first, *_, last = running.reports.published
    assert (first.models, first.slots, first.deliveries) == (("demo",), 3, 4)
    assert first.is_alive(first.reported_at)
    assert not last.is_alive(last.reported_at)


def test_worker_that_was_never_ready_sends_no_report(running: RunningWorker) -> None:
    running.stop()
    assert not running.reports.published


def test_restarted_engine_opens_no_second_stream(running: RunningWorker) -> None:
    running.serve()
    running.engine.come_up()
    running.stop()
    assert len(running.source.streams) == 1


def broken(model: str, *, minutes: float = 60.0) -> BrokenModel:
    retry_at = datetime.now(UTC) + timedelta(minutes=minutes)
    return BrokenModel(model=model, reason="OSError: no weights", failures=2, retry_at=retry_at)


def test_worker_without_a_working_model_takes_no_deliveries(running: RunningWorker) -> None:
    running.engine.come_up(replace(READY, broken=(broken("demo"),)))
    assert running.reports.anything_published.wait(PATIENCE_SECONDS)
    assert not running.source.streams
    assert (running.worker.state.ready, running.worker.state.alive) == (False, True)
    (report,) = running.reports.published
    assert (report.deliveries, report.served_models) == (0, frozenset())
    assert report.broken_models[0].reason == "OSError: no weights"
    running.serve()
    assert running.worker.state.ready
    running.stop()
    assert running.reports.published[-1].served_models == {"demo"}


def test_worker_closes_its_stream_when_its_last_model_breaks(running: RunningWorker) -> None:
    first = running.serve()
    running.engine.come_up(replace(READY, broken=(broken("demo"),)))
    assert first.ended.wait(PATIENCE_SECONDS)
    assert not running.worker.state.ready
    running.engine.come_up()
    assert running.source.stream(1).slots == READY.slots + 1
    assert len(running.source.streams) == 2


def test_delivery_is_returned_during_its_models_backoff(running: RunningWorker) -> None:
    both = replace(READY, models=("demo", "other"))
    task = running.bench.submit()
    running.engine.come_up(replace(both, broken=(broken("demo"),)))
    assert running.deliver(task) is Settlement.RETURN
    assert running.bench.store.get(task.id).attempt == 0
    running.engine.come_up(replace(both, broken=(broken("demo", minutes=-1.0),)))
    assert running.deliver(task) is Settlement.ACKNOWLEDGE


@pytest.mark.parametrize("behind_minutes", [-10, 10])
def test_backoff_does_not_depend_on_how_wrong_the_machines_clock_is(
    bench: WorkerBench, behind_minutes: float
) -> None:
    """The engine sets the end of the backoff by the machine's clock; the worker's is corrected."""
    corrected = FakeClock(datetime.now(UTC) + timedelta(minutes=behind_minutes))
    running = RunningWorker(bench, clock=corrected)
    both = replace(READY, models=("demo", "other"))
    task = bench.submit()
    running.engine.come_up(replace(both, broken=(broken("demo", minutes=5.0),)))
    assert running.deliver(task) is Settlement.RETURN
    running.engine.come_up(replace(both, broken=(broken("demo", minutes=-5.0),)))
    assert running.deliver(task) is Settlement.ACKNOWLEDGE
    running.stop()


def test_stream_is_reopened_when_the_slots_change(running: RunningWorker) -> None:
    running.serve()
    running.engine.come_up(replace(READY, slots=8))
    assert running.source.stream(1).slots == 10


def test_worker_of_both_kinds_takes_one_whole_pipeline_task(
    bench: WorkerBench, running: RunningWorker
) -> None:
    drawing, finish = threading.Event(), threading.Event()

    def long(generation: ScriptedGeneration) -> Iterator[Piece]:
        drawing.set()
        assert finish.wait(PATIENCE_SECONDS)
        yield grey_image(generation.task, 0)

    bench.generator.script = long
    stream = running.serve(replace(READY, models=("demo", "other"), exclusive=("demo",)))
    assert stream.slots == READY.slots + 1
    first, second = bench.submit(task_id="first"), bench.submit(task_id="second")
    settled = stream.deliver(delivery_of(first))
    assert drawing.wait(PATIENCE_SECONDS)
    assert running.deliver(second) is Settlement.RETURN
    assert bench.store.get(second.id).attempt == 0
    finish.set()
    assert settled.result(PATIENCE_SECONDS) is Settlement.ACKNOWLEDGE
    assert running.deliver(second) is Settlement.ACKNOWLEDGE


def test_ended_stream_is_reopened(running: RunningWorker) -> None:
    running.serve().break_off("NotFound")
    assert running.deliver(running.bench.submit(), stream=1) is Settlement.ACKNOWLEDGE


def test_worker_without_a_stream_for_long_is_not_alive(bench: WorkerBench) -> None:
    source, clock = SourceThatHangs(), FakeClock()
    running = RunningWorker(bench, source=source, clock=clock)
    running.serve().break_off("NotFound")
    assert source.hangs.wait(PATIENCE_SECONDS)

    alive = []
    for seconds in (590, 10):
        clock.advance(seconds)
        bench.heartbeat.beat()
        alive.append(running.worker.state.alive)
    assert alive == [True, False]

    source.let_go.set()
    running.stop()


def test_crashing_delivery_is_returned_and_the_next_processed(
    running: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.serve()
    task = running.bench.submit()
    with monkeypatch.context() as patch:
        patch.setattr(running.bench.store, "update", None)
        assert running.deliver(task) is Settlement.RETURN
    assert running.deliver(task) is Settlement.ACKNOWLEDGE


def test_idle_worker_drains_with_exit_0(running: RunningWorker) -> None:
    running.serve()
    running.worker.request_drain()
    assert running.exit_code() == EXIT_DRAINED
    assert not running.worker.state.ready


def test_drain_before_the_engine_is_ready_exits_0(running: RunningWorker) -> None:
    running.worker.request_drain()
    assert running.exit_code() == EXIT_DRAINED


def test_drain_hands_back_long_tasks(bench: WorkerBench, running: RunningWorker) -> None:
    drawing = threading.Event()

    def endless(generation: ScriptedGeneration) -> Iterator[Piece]:
        drawing.set()
        assert generation.told_to_stop.wait(PATIENCE_SECONDS)
        yield Checkpoint(index=0, step=3, state=b"state")
        raise GenerationInterruptedError("drain")

    bench.generator.script = endless
    task = bench.submit()
    settlement = running.serve().deliver(delivery_of(task))
    assert drawing.wait(PATIENCE_SECONDS)

    running.worker.request_drain()

    assert running.exit_code() == EXIT_DRAINED
    assert settlement.result() is Settlement.RETURN
    stored = bench.store.get(task.id)
    assert (stored.status, stored.attempts_left) == (TaskStatus.QUEUED, task.attempts_left)
    assert bench.generator.generations[0].wants_checkpoints
    assert bench.checkpoints.load(task.folder)[0].step == 3


def test_drain_lets_nearly_finished_tasks_complete(bench: WorkerBench, running: RunningWorker) -> None:
    drawn, finish = threading.Event(), threading.Event()

    def nearly_done(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.listener.phase_changed(0, Phase.DECODING)
        generation.listener.step_done(0, generation.task.parameters.steps)
        drawn.set()
        assert finish.wait(PATIENCE_SECONDS)
        if generation.interrupted:
            raise GenerationInterruptedError("drain")
        yield grey_image(generation.task, 0)

    bench.generator.script = nearly_done
    task = bench.submit()
    settlement = running.serve().deliver(delivery_of(task))
    assert drawn.wait(PATIENCE_SECONDS)

    running.worker.request_drain()
    assert running.bench.draining.wait(PATIENCE_SECONDS)
    finish.set()

    assert running.exit_code() == EXIT_DRAINED
    assert settlement.result() is Settlement.ACKNOWLEDGE
    assert bench.store.get(task.id).status is TaskStatus.COMPLETED


class Stall:
    """Replaces a call of the bucket by one that blocks until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, port: object, method: str, *, after: int = 0) -> None:
        self.began = threading.Event()
        self._release = threading.Event()
        self._call = getattr(port, method)
        self._calls_left = after
        monkeypatch.setattr(port, method, self)

    def __call__(self, *args: object, **options: object) -> object:
        self._calls_left -= 1
        if self._calls_left < 0:
            self.began.set()
            assert self._release.wait(PATIENCE_SECONDS)
        return self._call(*args, **options)

    def __enter__(self) -> None:
        assert self.began.wait(PATIENCE_SECONDS)

    def __exit__(self, *_error: object) -> None:
        self._release.set()


@pytest.mark.parametrize("stalled", ["pictures", "checkpoints"])
def test_drain_hands_back_tasks_before_their_generation_begins(
    bench: WorkerBench, running: RunningWorker, monkeypatch: pytest.MonkeyPatch, stalled: str
) -> None:
    if stalled == "pictures":
        stall = Stall(monkeypatch, bench.inputs, "read")
        pictures = {"image": "ab" * 32, "strength": 0.5}
        task = bench.submit(parameters=parameters().model_copy(update=pictures))
    else:
        stall = Stall(monkeypatch, bench.checkpoints, "load")
        task = bench.submit()
        bench.claim_by_dead_worker(task)
    attempts_left = bench.store.get(task.id).attempts_left
    settlement = running.serve().deliver(delivery_of(task))
    with stall:
        running.worker.request_drain()
        assert running.exit_code() == EXIT_DRAINED
        assert settlement.result() is Settlement.RETURN
        stored = bench.store.get(task.id)
        assert (stored.status, stored.attempts_left) == (TaskStatus.QUEUED, attempts_left)
        assert bench.generator.generations == []


def three_images(generation: ScriptedGeneration) -> Iterator[Piece]:
    for index in generation.task.missing_images:
        generation.listener.phase_changed(index, Phase.DECODING)
        generation.listener.step_done(index, generation.task.parameters.steps)
        generation.spend(index, 0.5)
        yield grey_image(generation.task, index)


def test_drain_hands_back_tasks_whose_images_are_not_stored_in_time(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    running = RunningWorker(bench, clock=clock)
    bench.generator.script = three_images
    stall = Stall(monkeypatch, bench.writer, "write", after=2)  # an image, its thumbnail
    task = bench.submit(parameters=parameters(num_images=3))
    settlement = running.serve().deliver(delivery_of(task))
    with stall:
        running.worker.request_drain()
        assert bench.draining.wait(PATIENCE_SECONDS)
        clock.advance(5.0 + 2.6)
        assert running.exit_code() == EXIT_DRAINED
        assert settlement.result() is Settlement.RETURN
        stored = bench.store.get(task.id)
        assert (stored.status, stored.attempts_left) == (TaskStatus.QUEUED, task.attempts_left)
        assert [image.index for image in stored.images] == [0]
        assert stored.usage.total_seconds == 1.0


def test_delivery_during_a_drain_is_returned(running: RunningWorker) -> None:
    stream = running.serve()
    running.bench.draining.set()
    assert stream.deliver(Delivery(message_id="m", body=b"?")).result(PATIENCE_SECONDS) is Settlement.RETURN
    assert running.bench.dead_letters.published == []


def test_worker_exits_1_when_its_engine_gives_up(running: RunningWorker) -> None:
    running.serve()
    running.engine.ended.set()
    assert running.exit_code() == EXIT_BROKEN
    assert not running.worker.state.alive


def reconnecting_stream(clock: FakeClock) -> ReconnectingStream:
    source = FakeDeliverySource()
    return ReconnectingStream(source, lambda _delivery: Settlement.RETURN, on_end=lambda: None, clock=clock)


def test_pauses_between_streams_grow_and_reset() -> None:
    clock = FakeClock()
    stream = reconnecting_stream(clock)
    assert stream.seconds_until_due is None
    stream.begin(1)
    pauses: list[float | None] = []
    for _ in range(7):
        stream.ended()
        pauses.append(stream.seconds_until_due)
        stream.open()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    clock.advance(61)
    stream.ended()
    assert stream.seconds_until_due == 0.5


def test_stream_counts_as_down_until_a_steady_one() -> None:
    clock = FakeClock()
    stream = reconnecting_stream(clock)
    assert stream.down_for == timedelta()
    stream.begin(1)
    clock.advance(3600)
    stream.ended()
    clock.advance(300)
    stream.open()
    clock.advance(59)
    assert stream.down_for == timedelta(seconds=359)
    stream.ended()
    stream.open()
    clock.advance(60)
    assert stream.down_for == timedelta()


def test_silent_stream_is_replaced_once_no_delivery_is_in_progress() -> None:
    clock, source = FakeClock(), FakeDeliverySource()
    is_taken, may_settle, has_ended = threading.Event(), threading.Event(), threading.Event()

    def process(_delivery: Delivery) -> Settlement:
        is_taken.set()
        assert may_settle.wait(PATIENCE_SECONDS)
        return Settlement.ACKNOWLEDGE

    stream = ReconnectingStream(source, process, on_end=has_ended.set, clock=clock)
    stream.begin(1)
    assert stream.seconds_until_due == 600
    clock.advance(300)
    stream.advance()
    assert (stream.is_open, stream.seconds_until_due) == (True, 300)
    settled = source.stream(0).deliver(delivery_of(submitted_task()))
    assert is_taken.wait(PATIENCE_SECONDS)
    clock.advance(3_600)
    stream.advance()
    assert (stream.is_open, stream.seconds_until_due) == (True, 600)
    may_settle.set()
    assert settled.result(PATIENCE_SECONDS) is Settlement.ACKNOWLEDGE
    clock.advance(600)
    assert stream.seconds_until_due == 0
    stream.advance()
    assert has_ended.wait(PATIENCE_SECONDS)
    stream.ended()
    assert (stream.seconds_until_due, stream.down_for) == (0, timedelta())
    stream.advance()
    assert source.stream(1).is_open


def test_clock_set_back_does_not_prolong_the_pause() -> None:
    clock = FakeClock()
    stream = reconnecting_stream(clock)
    stream.begin(1)
    stream.ended()
    clock.advance(-600)
    assert stream.seconds_until_due == 15
