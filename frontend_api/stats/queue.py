"""Read the state of the queue: measured in the store and cached, because many callers may ask."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from common.domain.models.catalog import ModelCatalog
from common.ports import Clock
from frontend_api.cache import Cached
from frontend_api.stats.ports import QueueLine, TaskStats

LATELY = timedelta(minutes=5)
"""The period over which throughput is measured."""
_TTL = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    as_of: datetime
    all_models: QueueLine
    by_model: Mapping[str, QueueLine]
    dead_letters: int


class ReadQueue:
    """Reads the queue. Safe to share between threads."""

    def __init__(self, *, catalog: ModelCatalog, stats: TaskStats, clock: Clock) -> None:
        self._models = tuple(spec.name for spec in catalog.models)
        self._stats = stats
        self._state = Cached(self._measured, ttl=_TTL, clock=clock)

    def __call__(self) -> QueueState:
        """Return the state, at most two seconds old. Raises DependencyUnavailableError."""
        return self._state()

    def _measured(self, now: datetime) -> QueueState:
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="queue-stats") as pool:
            dead_letters = pool.submit(self._stats.dead_letters)
            measure = partial(self._stats.line, completed_since=now - LATELY)
            all_models, *each = pool.map(measure, (None, *self._models))
            return QueueState(
                as_of=now,
                all_models=all_models,
                by_model=dict(zip(self._models, each, strict=True)),
                dead_letters=dead_letters.result(),
            )
