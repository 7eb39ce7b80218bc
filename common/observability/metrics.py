"""Every metric name with its meaning. Both processes take their instruments from here, so that a name has one owner."""

from dataclasses import dataclass
from enum import StrEnum

from opentelemetry import metrics


class MetricKind(StrEnum):
    """Which OpenTelemetry instrument a metric is."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric darkroom records: its name, unit (UCUM) and meaning."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str


TASKS_SUBMITTED = Metric(
    name="darkroom.tasks.submitted",
    kind=MetricKind.COUNTER,
    unit="{task}",
    meaning="Tasks accepted with a 202, by model and lane.",
)
TASKS_RESCUED = Metric(
    name="darkroom.tasks.rescued",
    kind=MetricKind.COUNTER,
    unit="{task}",
    meaning="Tasks that rescue published again or gave up, by verdict.",
)
TASKS_EXPIRED = Metric(
    name="darkroom.tasks.expired",
    kind=MetricKind.COUNTER,
    unit="{task}",
    meaning="Ended tasks removed with all their objects because their time was up.",
)
DEAD_LETTERS_ARCHIVED = Metric(
    name="darkroom.dead_letters.archived",
    kind=MetricKind.COUNTER,
    unit="{message}",
    meaning="Messages that were given up on and are kept for operators, by whether anybody could read them.",
)
WEBHOOK_TRIES = Metric(
    name="darkroom.webhooks.tries",
    kind=MetricKind.COUNTER,
    unit="{try}",
    meaning="Tries to tell a receiver of an event, by whether it took it.",
)
ATTEMPTS_FINISHED = Metric(
    name="darkroom.attempts.finished",
    kind=MetricKind.COUNTER,
    unit="{attempt}",
    meaning="Attempts that ended in this worker, by result and settlement.",
)
ATTEMPT_SECONDS = Metric(
    name="darkroom.attempt.duration",
    kind=MetricKind.HISTOGRAM,
    unit="s",
    meaning="Wall time of an attempt, from the claim to the settlement.",
)
CHECKPOINTS_REFUSED = Metric(
    name="darkroom.checkpoints.refused",
    kind=MetricKind.COUNTER,
    unit="{checkpoint}",
    meaning="Checkpoints that were damaged or did not fit, so that an image was begun again, by model.",
)
QUEUE_SECONDS = Metric(
    name="darkroom.queue.duration",
    kind=MetricKind.HISTOGRAM,
    unit="s",
    meaning="Time from acceptance to the first claim.",
)
ALL_METRICS = (
    TASKS_SUBMITTED,
    TASKS_RESCUED,
    TASKS_EXPIRED,
    DEAD_LETTERS_ARCHIVED,
    WEBHOOK_TRIES,
    ATTEMPTS_FINISHED,
    ATTEMPT_SECONDS,
    CHECKPOINTS_REFUSED,
    QUEUE_SECONDS,
)


def counter(metric: Metric) -> metrics.Counter:
    """The counter of this name."""
    return metrics.get_meter("darkroom").create_counter(
        metric.name, unit=metric.unit, description=metric.meaning
    )


def histogram(metric: Metric) -> metrics.Histogram:
    """The histogram of this name."""
    return metrics.get_meter("darkroom").create_histogram(
        metric.name, unit=metric.unit, description=metric.meaning
    )
