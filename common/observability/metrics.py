"""All metrics with their meaning. Both processes get their instruments from this module.

`http.*`, `messaging.*` and `hw.*` follow OpenTelemetry's semantic conventions; `darkroom.*` is our
own. Attributes have few values, known in advance: no ids of tasks, no users, no text of a caller.
docs/operating/observability.md lists all metrics, with their emitter and purpose.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from opentelemetry import metrics

_WAITS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400)
"""Seconds, up to a day: waiting times in a queue."""
_WORK = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1_200)
"""Seconds, from a demo image on a GPU to an attempt's timeout."""
_STEPS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 15, 60)
_REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The bounds that the semantic conventions recommend."""
_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

Reading = Mapping[tuple[str, ...], float]
"""Values by the values of a gauge's attributes, in their order."""


class MetricKind(StrEnum):
    """The OpenTelemetry instrument of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of darkroom: its name, unit (UCUM), meaning and attributes."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Bounds of a histogram's buckets."""


def _counts(name: str, unit: str, meaning: str, *attributes: str) -> Metric:
    return Metric(name=name, kind=MetricKind.COUNTER, unit=unit, meaning=meaning, attributes=attributes)


def _shows(name: str, unit: str, meaning: str, *attributes: str) -> Metric:
    return Metric(name=name, kind=MetricKind.GAUGE, unit=unit, meaning=meaning, attributes=attributes)


def _measures(
    name: str, bounds: tuple[float, ...], meaning: str, *attributes: str, unit: str = "s"
) -> Metric:
    return Metric(
        name=name,
        kind=MetricKind.HISTOGRAM,
        unit=unit,
        meaning=meaning,
        attributes=attributes,
        bounds=bounds,
    )


# ── requests and messages, by the semantic conventions ───────────────────────────────────────────────────

HTTP_REQUEST_SECONDS = _measures(
    "http.server.request.duration",
    _REQUESTS,
    "Time from a request's arrival to the first byte of its response.",
    *("http.request.method", "http.route", "http.response.status_code"),
)
FOLLOWERS = _shows(
    "darkroom.followers",
    "{follower}",
    "Callers of this process that wait for a task's changes: held responses, event streams and WebSockets.",
)
MESSAGES_SENT = _counts(
    "messaging.client.sent.messages",
    "{message}",
    "Messages published to Pub/Sub; with `error.type` the failed ones.",
    *("messaging.system", "messaging.operation.name", "messaging.destination.name", "error.type"),
)
SEND_SECONDS = _measures(
    "messaging.client.operation.duration",
    _REQUESTS,
    "Time until Pub/Sub confirmed a message, or the publish failed.",
    *("messaging.system", "messaging.operation.name", "messaging.destination.name", "error.type"),
)
MESSAGES_CONSUMED = _counts(
    "messaging.client.consumed.messages",
    "{message}",
    "Deliveries and pushes received.",
    *("messaging.system", "messaging.operation.name", "messaging.destination.subscription.name"),
)
PROCESS_SECONDS = _measures(
    "messaging.process.duration",
    _WORK,
    "Time from a delivery to its settlement; `error.type` where it was returned.",
    *("messaging.system", "messaging.operation.name", "messaging.destination.subscription.name"),
    "error.type",
)

# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────

QUEUE_DEPTH = _shows("darkroom.queue.depth", "{task}", "Queued tasks.", "model")
QUEUE_OLDEST_AGE = _shows(
    "darkroom.queue.oldest_age",
    "s",
    "Age of the oldest queued task; 0 when there is none.",
    "model",
)
QUEUE_IN_FLIGHT = _shows("darkroom.queue.in_flight", "{task}", "Tasks that workers hold.", "model")
DEAD_LETTERS_KEPT = _shows(
    "darkroom.dead_letters.kept", "{message}", "Dead letters that are kept for an operator."
)
DEAD_LETTERS_ARCHIVED = _counts(
    "darkroom.dead_letters.archived",
    "{message}",
    "Messages forwarded to the dead-letter topic, by whether they could be decoded.",
    "readable",
)
QUEUE_SECONDS = _measures(
    "darkroom.queue.duration", _WAITS, "Time from acceptance to the first claim.", "model", "lane"
)

# ── tasks and attempts ───────────────────────────────────────────────────────────────────────────────────

TASKS_SUBMITTED = _counts("darkroom.tasks.submitted", "{task}", "Accepted tasks.", "model", "lane")
TASKS_FINISHED = _counts(
    "darkroom.tasks.finished",
    "{task}",
    "Finished tasks, by status; failed ones with their failure's code.",
    *("model", "status", "error.type"),
)
TASK_SECONDS = _measures(
    "darkroom.task.duration", _WAITS, "Time from acceptance to completion.", "model", "lane"
)
TASKS_RESCUED = _counts(
    "darkroom.tasks.rescued", "{task}", "Tasks that rescue published again or failed, by verdict.", "verdict"
)
TASKS_EXPIRED = _counts(
    "darkroom.tasks.expired",
    "{task}",
    "Finished tasks removed with all their objects because they had expired.",
)
ATTEMPTS_FINISHED = _counts(
    "darkroom.attempts.finished",
    "{attempt}",
    "Settled deliveries, by the resulting status of the task, or by the reason why the worker could not process it.",
    *("result", "settlement", "model", "error.type"),
)
ATTEMPT_SECONDS = _measures(
    "darkroom.attempt.duration", _WORK, "Time from a claim to the settlement.", "model", "result"
)
CLAIMS_LOST = _counts(
    "darkroom.claims.lost",
    "{claim}",
    "Claims that another worker held, or that no longer existed, at their renewal.",
    "reason",
)
LEASES_LOST = _counts(
    "darkroom.leases.lost",
    "{delivery}",
    "Deliveries of a task that a live worker holds: its lease expired, or the message was delivered twice.",
    "holder",
)

# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────

STEP_SECONDS = _measures(
    "darkroom.step.duration", _STEPS, "Duration of one denoising step of one batch.", "model"
)
BATCH_SIZE = _measures(
    "darkroom.batch.size", _BATCHES, "Number of images in a denoising step.", "model", unit="{image}"
)
ENGINE_BUSY = _counts(
    "darkroom.engine.busy", "s", "Time that the engine worked; its rate is the engine's utilization."
)
ENGINES_ENDED = _counts(
    "darkroom.engines.ended", "{process}", "Engine processes that exited on their own, by cause.", "cause"
)
CHECKPOINTS_REFUSED = _counts(
    "darkroom.checkpoints.refused",
    "{checkpoint}",
    "Checkpoints that were damaged or incompatible, so that the Run started over.",
    "model",
)
GPU_SECONDS = _counts(
    "darkroom.gpu.time",
    "s",
    "Device seconds of images: `useful` if they were stored, `cancelled` if the task was cancelled, `wasted` if there "
    "is no image for another reason.",
    *("model", "use"),
)
COST = _counts(
    "darkroom.cost",
    "{currency}",
    "Cost of those seconds, if a price is set.",
    *("model", "use", "currency"),
)
GPU_UTILIZATION = _shows(
    "hw.gpu.utilization", "1", "Recent share of time in which the GPU computed, 0 to 1.", "hw.id"
)
GPU_MEMORY_USED = _shows("hw.gpu.memory.usage", "By", "GPU memory in use, by all processes.", "hw.id")
GPU_MEMORY_LIMIT = _shows("hw.gpu.memory.limit", "By", "Total GPU memory.", "hw.id")
WORKER_READY = _shows(
    "darkroom.worker.ready",
    "{worker}",
    "1 while a worker takes deliveries, else 0.",
    "messaging.destination.subscription.name",
)
WORKER_TASKS = _shows("darkroom.worker.tasks", "{task}", "Tasks that a worker holds.")

POOL_UPDATES = _counts(
    "darkroom.worker_pool.updates",
    "{update}",
    "Steps of the autoscaler of Cloud Run's workers: `unchanged`, `grown`, `shrunk`, or `failed` without a change.",
    "outcome",
)

# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────

WEBHOOK_TRIES = _counts(
    "darkroom.webhooks.tries",
    "{try}",
    "Tries to deliver an event: `delivered`, `refused` by the receiver's response, or `failed` without one.",
    "outcome",
)
WEBHOOK_SECONDS = _measures("darkroom.webhook.duration", _REQUESTS, "Duration of a try.", "outcome")

# ── security ─────────────────────────────────────────────────────────────────────────────────────────────

RECORDS_REFUSED = _counts(
    "darkroom.records.refused",
    "{record}",
    "Reads of records that the API did not write or another process changed: `api_key` or `callback`.",
    "record",
)

ALL_METRICS = tuple(value for value in globals().copy().values() if isinstance(value, Metric))


def counter(metric: Metric) -> metrics.Counter:
    """Return the counter of this name."""
    return _meter().create_counter(metric.name, unit=metric.unit, description=metric.meaning)


def histogram(metric: Metric) -> metrics.Histogram:
    """Return the histogram of this name."""
    return _meter().create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.meaning,
        explicit_bucket_boundaries_advisory=metric.bounds,
    )


def gauge(metric: Metric, read: Callable[[], Reading]) -> None:
    """Report `read()` as the value of this gauge at each collection; nothing if it is empty."""

    def observed(_options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        for values, value in read().items():
            yield metrics.Observation(value, dict(zip(metric.attributes, values, strict=True)))

    _meter().create_observable_gauge(
        metric.name, callbacks=[observed], unit=metric.unit, description=metric.meaning
    )


def _meter() -> metrics.Meter:
    return metrics.get_meter("darkroom")
