"""Metrics of the queue, read at each collection from the same measurement as `/v1/queue`."""

import time
from collections.abc import Callable

import structlog

from common.domain.errors import DependencyUnavailableError
from common.observability.metrics import (
    DEAD_LETTERS_KEPT,
    QUEUE_DEPTH,
    QUEUE_IN_FLIGHT,
    QUEUE_OLDEST_AGE,
    Reading,
    gauge,
)
from frontend_api.stats.ports import QueueLine
from frontend_api.stats.queue import QueueState, ReadQueue

_log = structlog.get_logger(__name__)
_NOT_AGAIN_FOR_SECONDS = 10.0
"""Pause after a store timeout: the gauges are read one after another, and each would time out."""


def register_queue_gauges(read_queue: ReadQueue) -> None:
    """Register the queue's gauges; they report no values while the store is unavailable."""
    gauges = QueueGauges(read_queue)
    gauge(QUEUE_DEPTH, gauges.depth)
    gauge(QUEUE_OLDEST_AGE, gauges.oldest_age)
    gauge(QUEUE_IN_FLIGHT, gauges.in_flight)
    gauge(DEAD_LETTERS_KEPT, gauges.dead_letters)


class QueueGauges:
    """The callbacks of the gauges.

    They return an empty reading when the queue cannot be read, because 0 would mean an empty queue.
    """

    def __init__(
        self, read_queue: Callable[[], QueueState], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read_queue = read_queue
        self._clock = clock
        self._not_before = float("-inf")

    def depth(self) -> Reading:
        return self._by_model(lambda line, _state: line.queued)

    def oldest_age(self) -> Reading:
        """Age of the oldest queued task in seconds, by model."""
        return self._by_model(_oldest_age)

    def in_flight(self) -> Reading:
        return self._by_model(lambda line, _state: line.processing)

    def dead_letters(self) -> Reading:
        state = self._state()
        return {} if state is None else {(): state.dead_letters}

    def _by_model(self, shown: Callable[[QueueLine, QueueState], float]) -> Reading:
        state = self._state()
        if state is None:
            return {}
        return {(model,): shown(line, state) for model, line in state.by_model.items()}

    def _state(self) -> QueueState | None:
        if self._clock() < self._not_before:
            return None
        try:
            return self._read_queue()
        except DependencyUnavailableError as error:
            self._not_before = self._clock() + _NOT_AGAIN_FOR_SECONDS
            _log.warning("queue_not_measured", dependency=error.dependency)
            return None


def _oldest_age(line: QueueLine, state: QueueState) -> float:
    if line.oldest_queued_at is None:
        return 0.0
    return max(0.0, (state.as_of - line.oldest_queued_at).total_seconds())
