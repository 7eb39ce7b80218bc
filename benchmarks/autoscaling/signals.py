"""The autoscalers' metrics: the API's demand, and Cloud Monitoring's message count."""

import math
from collections.abc import Callable, Sequence
from random import Random

from benchmarks.autoscaling.cluster import Cluster, Process, Task
from frontend_api.autoscaling.policy import workers_demanded

SAMPLE_SECONDS = 60.0
VISIBLE_AFTER_SECONDS = 120.0
"""num_undelivered_messages is "sampled every 60 seconds; after sampling, data is not visible for up
to 120 seconds" (cloud.google.com/monitoring/api/metrics_gcp_p_z)."""
HORIZON_SECONDS = 300.0
"""Maximum age of a sample; an older one counts as missing."""

Outage = tuple[float, float]
"""Start and end, seconds."""


Signal = Callable[[], float | None]
"""Returns the current value of a metric; None if it is missing."""


class DemandMetric:
    """GET /internal/autoscaling: measured on request, or 503."""

    def __init__(
        self,
        cluster: Cluster,
        random: Random,
        *,
        outages: Sequence[Outage] = (),
        failure_rate: float = 0.0,
        target_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._random = random
        self._outages = outages
        self._failure_rate = failure_rate
        self._target_seconds = target_seconds

    def __call__(self) -> float | None:
        """Call the API's own function with predictions; the API's data has no task's progress."""
        if _is_in(self._cluster.env.now, self._outages) or self._random.random() < self._failure_rate:
            return None
        waiting, running = self._cluster.waiting, self._cluster.running
        return workers_demanded(
            gpu_seconds=_predicted(waiting) + _predicted(running) / 2,
            tasks=len(waiting) + len(running),
            busy_workers=len(running),
            target_seconds=self._target_seconds,
        )


class UndeliveredMessages:
    """Cloud Monitoring's delayed `num_undelivered_messages`: waiting and leased messages."""

    def __init__(
        self,
        cluster: Cluster,
        random: Random,
        *,
        outages: Sequence[Outage] = (),
        visible_after_seconds: float = VISIBLE_AFTER_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._random = random
        self._outages = outages
        self._visible_after = visible_after_seconds
        self._samples: list[tuple[float, float, int]] = []
        cluster.env.process(self._sampling())

    def __call__(self) -> float | None:
        """Return the newest visible sample, unless it is too old."""
        now = self._cluster.env.now
        visible = [(at, count) for at, visible_at, count in self._samples if visible_at <= now]
        newest_at, count = max(visible, default=(-math.inf, 0))
        return float(count) if now - newest_at <= HORIZON_SECONDS else None

    def _sampling(self) -> Process:
        env = self._cluster.env
        yield env.timeout(self._random.uniform(0, SAMPLE_SECONDS))
        while True:
            if not _is_in(env.now, self._outages):
                visible_at = env.now + self._random.uniform(0, self._visible_after)
                self._samples = [*self._samples[-10:], (env.now, visible_at, self._messages())]
            yield env.timeout(SAMPLE_SECONDS)

    def _messages(self) -> int:
        return len(self._cluster.waiting) + len(self._cluster.running)


def _predicted(tasks: Sequence[Task]) -> float:
    return sum(task.submission.predicted_gpu_seconds for task in tasks)


def _is_in(now: float, outages: Sequence[Outage]) -> bool:
    return any(begin <= now < end for begin, end in outages)
