"""Worker: start, serve, drain, stop. The order matters.

Start   1. the engine, which takes longest · 2. the heartbeat, before any claim needs renewal
        3. the stream, once the engine is ready and deliveries can be processed at once
Serve   when the stream ends for any reason, open another one, with backoff, without limit
Drain   1. close the stream, which returns waiting deliveries at once; report the shutdown
        2. let tasks finish that will do so before the deadline
        3. interrupt the others now, since a checkpoint and a hand-back take time, too
        4. wait until every delivery is settled and its settlement is sent; shortly after the
           deadline, hand back the tasks that still decode, encode or wait for the bucket
Stop    1. the heartbeat, which no claim needs any more · 2. the engine · 3. exit 0

The main thread only waits for events. Signals, callbacks and side threads put them into its queue.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from common.ports import Clock
from gpu_subscriber.attempt.active_task import StopReason
from gpu_subscriber.attempt.heartbeat import Heartbeat
from gpu_subscriber.engine.messages import EngineReady
from gpu_subscriber.ports import Delivery, DeliverySource, Settlement
from gpu_subscriber.worker.delivery_admission import DeliveryAdmission
from gpu_subscriber.worker.reconnecting_stream import ReconnectingStream
from gpu_subscriber.worker.reporter import Reporter
from gpu_subscriber.worker.supervised_thread import SupervisedThread

_log = structlog.get_logger(__name__)
EXIT_DRAINED = 0
EXIT_BROKEN = 1
_UPLOAD_MARGIN_SECONDS = 1.5
"""Time from the last denoising step to the settlement: decoding, encoding, an upload, two writes."""
_HAND_BACK_SECONDS = 5.0
"""Time after the drain deadline to stop interrupted runs and hand back their tasks."""
_ABANDON_AFTER_SECONDS = 2.5
"""Time after the drain deadline for what no interrupt ends: decoding, encoding, calls of the bucket."""
_DRAIN_POLL_SECONDS = 0.1
_SILENT_AFTER = timedelta(seconds=60)
"""A heartbeat without a beat for this long is dead or stuck; claims are about to expire, too."""
_CUT_OFF_AFTER = timedelta(minutes=10)
"""Without a steady stream for this long, the process may be the cause; a restart costs no work."""


def deliveries_for(engine: EngineReady) -> int:
    """Return the number of deliveries to accept at once.

    It is slightly more than the engine's slots, and at least one more, so that the engine continues
    with the next task during uploads and settlements. It is not much more, since waiting tasks
    could be generated elsewhere. If all models generate one image at a time, none is accepted in
    advance: it would wait for at least a whole image.
    """
    if set(engine.models) <= set(engine.exclusive):
        return 1
    return engine.slots + max(1, engine.slots // 4)


class WorkerEvent(StrEnum):
    """Events that wake the main thread."""

    ENGINE_READY = "engine_ready"
    STREAM_ENDED = "stream_ended"
    THREAD_ENDED = "side_thread_ended"
    DRAIN_REQUESTED = "drain_requested"


class Engine(Protocol):
    """The operations of the engine that the worker needs, besides generation."""

    def run(self, on_ready: Callable[[EngineReady], None]) -> None:
        """Keep an engine running; return after `stop`, or when too many starts have failed."""
        ...

    def stop(self, *, within_seconds: float) -> None:
        """Stop the engine permanently."""
        ...

    @property
    def ready(self) -> EngineReady | None:
        """The latest EngineReady of the running engine; None while there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """The state of the worker, for probes and metrics."""

    alive: bool
    ready: bool
    draining: bool
    stream_open: bool
    engine: EngineReady | None
    active_tasks: int


class Worker:
    """One process from start to exit code. `run` belongs to the main thread."""

    def __init__(
        self,
        *,
        source: DeliverySource,
        process: Callable[[Delivery], Settlement],
        engine: Engine,
        heartbeat: Heartbeat,
        reporting: Reporter,
        draining: threading.Event,
        clock: Clock,
        drain_deadline_seconds: float,
    ) -> None:
        self._process = process
        self._engine = engine
        self._heartbeat = heartbeat
        self._reporting = reporting
        self._draining = draining
        self._clock = clock
        self._admission = DeliveryAdmission()
        self._drain_deadline = timedelta(seconds=drain_deadline_seconds)
        self._events: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
        self._stream = ReconnectingStream(
            source, self._handle, on_end=lambda: self._events.put(WorkerEvent.STREAM_ENDED), clock=clock
        )
        self._broken = False
        self._threads = (
            SupervisedThread(
                "engine", lambda: engine.run(self._engine_ready), on_end=self._supervised_thread_ended
            ),
            SupervisedThread("heartbeat", heartbeat.run, on_end=self._supervised_thread_ended),
            SupervisedThread("reporting", reporting.run, on_end=self._supervised_thread_ended),
        )

    def run(self) -> int:
        """Run the worker and return the exit code.

        It serves until a drain is requested or a side thread dies; then it drains and stops.
        """
        for thread in self._threads:
            thread.start()
        self._serve()
        drained = self._drain()
        self._stop()
        return EXIT_DRAINED if drained and not self._broken else EXIT_BROKEN

    def request_drain(self) -> None:
        """Request a drain. Thread-safe and idempotent."""
        self._events.put(WorkerEvent.DRAIN_REQUESTED)

    @property
    def state(self) -> WorkerState:
        """Return the current state. Thread-safe."""
        silence = self._clock.now() - self._heartbeat.last_beat_at
        engine, is_open, draining = self._engine.ready, self._stream.is_open, self._draining.is_set()
        return WorkerState(
            alive=not self._broken and silence < _SILENT_AFTER and (draining or not self._cut_off),
            ready=is_open and engine is not None and engine.serves_any and not draining,
            draining=draining,
            stream_open=is_open,
            engine=engine,
            active_tasks=len(self._heartbeat.active_tasks),
        )

    @property
    def _cut_off(self) -> bool:
        """Return whether a restarted process might get deliveries while this one does not."""
        return self._stream.down_for >= _CUT_OFF_AFTER and not self._heartbeat.active_tasks

    def _serve(self) -> None:
        while True:
            match self._next_event(self._stream.seconds_until_due):
                case None:
                    self._stream.advance()
                case WorkerEvent.ENGINE_READY:
                    self._begin(self._engine.ready)
                case WorkerEvent.STREAM_ENDED:
                    self._stream.ended()
                case WorkerEvent.THREAD_ENDED:
                    self._broken = True
                    return
                case WorkerEvent.DRAIN_REQUESTED:
                    return

    def _begin(self, engine: EngineReady | None) -> None:
        if engine is None:  # it has died meanwhile; the next one will be ready soon
            return
        deliveries = deliveries_for(engine) if engine.serves_any else 0
        if engine.serves_any:
            self._stream.begin(deliveries)
        else:
            self._stream.suspend()
        self._reporting.engine_ready(engine, deliveries=deliveries)

    def _next_event(self, timeout_seconds: float | None) -> WorkerEvent | None:
        try:
            return self._events.get(timeout=timeout_seconds)
        except queue.Empty:
            return None

    def _handle(self, delivery: Delivery) -> Settlement:
        """Process one delivery; no error of one may end more than this delivery."""
        if self._draining.is_set():
            return Settlement.RETURN
        try:
            with self._admission.admitted(delivery, self._engine.ready) as is_admitted:
                return self._process(delivery) if is_admitted else Settlement.RETURN
        except Exception:
            _log.exception("delivery_crashed", message_id=delivery.message_id)
            return Settlement.RETURN

    def _drain(self) -> bool:
        """Drain; return whether all deliveries were settled in time."""
        deadline = self._clock.now() + self._drain_deadline
        self._draining.set()
        self._stream.close()
        self._reporting.stop()
        hand_back_time = timedelta(seconds=_HAND_BACK_SECONDS)
        _log.info("drain_began", active_tasks=len(self._heartbeat.active_tasks), broken=self._broken)
        drained = False
        while not drained and self._clock.now() < deadline + hand_back_time:
            # Repeated at each poll: a task may have been claimed when the drain began, and others
            # may be slower than estimated.
            seconds_left = (deadline - self._clock.now()).total_seconds()
            self._interrupt_tasks_longer_than(seconds_left)
            if seconds_left <= -_ABANDON_AFTER_SECONDS:
                self._abandon_tasks()
            drained = self._stream.wait_until_ended(_DRAIN_POLL_SECONDS)
        _log.info("drain_ended", drained=drained, active_tasks=len(self._heartbeat.active_tasks))
        return drained

    def _interrupt_tasks_longer_than(self, seconds: float) -> None:
        for active in self._heartbeat.active_tasks:
            left = active.tracker.seconds_left()
            if active.stop_reason is None and (left is None or left + _UPLOAD_MARGIN_SECONDS > seconds):
                active.stop(StopReason.DRAINING)

    def _abandon_tasks(self) -> None:
        for active in self._heartbeat.active_tasks:
            active.abandon()

    def _stop(self) -> None:
        self._heartbeat.stop()
        self._engine.stop(within_seconds=2.0)
        for thread in self._threads:
            thread.join(2.0)

    def _engine_ready(self, _ready: EngineReady) -> None:
        self._events.put(WorkerEvent.ENGINE_READY)

    def _supervised_thread_ended(self, name: str) -> None:
        if not self._draining.is_set():
            _log.error("side_thread_ended", thread=name)
        self._events.put(WorkerEvent.THREAD_ENDED)
