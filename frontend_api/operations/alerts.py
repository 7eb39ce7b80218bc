"""Some alerts of common/alert_rules.yaml, evaluated from the store at one moment. Pure.

Cloud Monitoring evaluates the metrics of the whole deployment over time; this module reads the
current state of the store, and so works without metrics.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.domain.task import TaskStatus
from common.shared_values import SHARED, AlertLimits, read_shared_file
from frontend_api.estimates.workload import Workload
from frontend_api.health.readiness import Reachability
from frontend_api.operations.response_counts import ResponseShare
from frontend_api.stats.ports import Lately, QueueLine
from frontend_api.usage.ports import NO_USAGE, UsageTotals


class AlertState(StrEnum):
    OK = "ok"
    PENDING = "pending"
    """The condition holds, but not yet for the time after which the alert notifies."""
    FIRING = "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    name: str
    title: str
    """A noun phrase that fits every state."""
    severity: str
    duration: timedelta
    """How long the condition must hold before the alert notifies."""
    runbook: str
    """Heading of the entry in docs/operating/runbook.md."""


_TOLERATED_ERROR_SHARE = 0.05
"""Share of failed responses above which the API needs attention."""


def _rule(name: str) -> AlertRule:
    rule = _RULES[name]
    return AlertRule(
        name=name,
        title=rule["page_title"],
        severity=rule["severity"],
        duration=timedelta(seconds=rule["duration_seconds"]),
        runbook=rule["runbook"],
    )


_RULES = read_shared_file("alert_rules.yaml")
NO_WORKER = _rule("no_worker")
MODEL_UNAVAILABLE = _rule("model_unavailable")
DEPENDENCIES = _rule("dependency_away")
API_RESPONSES = _rule("availability_burns_fast")
OLDEST_WAITS = _rule("oldest_waits")
STALLED = _rule("stalled")
DEAD_LETTERS = _rule("dead_letters")
TASKS_FAIL = _rule("tasks_fail")
BACKLOG_GROWS = _rule("backlog_grows")
SECONDS_WASTED = _rule("seconds_wasted")
ALERT_RULES = (
    NO_WORKER,
    DEPENDENCIES,
    API_RESPONSES,
    MODEL_UNAVAILABLE,
    OLDEST_WAITS,
    STALLED,
    DEAD_LETTERS,
    TASKS_FAIL,
    BACKLOG_GROWS,
    SECONDS_WASTED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The state of an alert, and a sentence with its figures."""

    rule: AlertRule
    state: AlertState
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvaluation:
    """Evaluates all alerts from the state of the system at one moment."""

    limits: AlertLimits
    as_of: datetime
    lines: Mapping[str, QueueLine]
    """The queue of each offered model."""
    workload: Workload
    dead_letters: int
    lately: Lately
    dependencies: Sequence[Reachability]
    responses: ResponseShare

    def __iter__(self) -> Iterator[Alert]:
        """Yield each alert, the most severe first."""
        yield self._no_worker()
        yield self._dependencies()
        yield self._api_responses()
        yield self._model_unavailable()
        yield self._oldest_waits()
        yield self._stalled()
        yield self._dead_letters()
        yield self._tasks_fail()
        yield self._backlog_grows()
        yield self._seconds_wasted()

    def _no_worker(self) -> Alert:
        # Processing tasks too: those of a dead worker stay so until their claims expire.
        unserved = {
            model: line.queued + line.processing
            for model, line in self.lines.items()
            if (line.queued or line.processing) and not self.workload.workers_of(model)
        }
        if not unserved:
            alive = _counted(len(self.workload.workers), "worker is alive", "workers are alive")
            return Alert(rule=NO_WORKER, state=AlertState.OK, says=f"{alive}.")
        tasks = _counted(sum(unserved.values()), "unfinished task", "unfinished tasks")
        age = max(map(self._age, unserved))
        return Alert(
            rule=NO_WORKER,
            state=_state(held_for=age, rule=NO_WORKER),
            says=f"{tasks} for {', '.join(unserved)}, and no worker that serves them is alive.",
        )

    def _model_unavailable(self) -> Alert:
        workers = self.workload.workers
        broken = Counter(model.model for worker in workers for model in worker.broken_models)
        if not broken:
            says = "No worker failed to load a model."
            return Alert(rule=MODEL_UNAVAILABLE, state=AlertState.OK, says=says)
        configured = Counter(model for worker in workers for model in worker.models)
        failures = [
            f"{model} on {count} of {_counted(configured[model], 'worker', 'workers')}"
            for model, count in sorted(broken.items())
        ]
        says = f"Loading failed: {', '.join(failures)}."
        return Alert(rule=MODEL_UNAVAILABLE, state=AlertState.FIRING, says=says)

    def _dependencies(self) -> Alert:
        missing = [one.name for one in self.dependencies if not one.is_reachable]
        if not missing:
            return Alert(rule=DEPENDENCIES, state=AlertState.OK, says="All dependencies respond.")
        says = f"{' and '.join(missing)} did not respond to this instance of the API."
        return Alert(rule=DEPENDENCIES, state=AlertState.FIRING, says=says)

    def _api_responses(self) -> Alert:
        failed, every = self.responses.failed, self.responses.all
        says = f"{failed} of {every} responses of this instance failed within 5 min."
        state = AlertState.OK
        if failed > _TOLERATED_ERROR_SHARE * every:
            state = AlertState.FIRING if failed > SHARED.tolerated_failures else AlertState.PENDING
        return Alert(rule=API_RESPONSES, state=state, says=says)

    def _stalled(self) -> Alert:
        waiting = [
            model for model, line in self.lines.items() if line.queued and self.workload.workers_of(model)
        ]
        moves = any(line.processing or line.completed_lately for line in self.lines.values())
        if moves or not waiting:
            return Alert(rule=STALLED, state=AlertState.OK, says="Queued tasks are processed.")
        age = max(map(self._age, waiting))
        tasks = _counted(sum(self.lines[model].queued for model in waiting), "task waits", "tasks wait")
        says = f"{tasks} although workers are alive, and none is processed."
        return Alert(rule=STALLED, state=_state(held_for=age, rule=STALLED), says=says)

    def _oldest_waits(self) -> Alert:
        limit = timedelta(seconds=self.limits.oldest_seconds)
        age = max(map(self._age, self.lines), default=timedelta(0))
        if age <= limit:
            says = f"No task has waited longer than {_spoken(limit)}."
            return Alert(rule=OLDEST_WAITS, state=AlertState.OK, says=says)
        slow = ", ".join(model for model in self.lines if self._age(model) > limit)
        return Alert(
            rule=OLDEST_WAITS,
            state=_state(held_for=age - limit, rule=OLDEST_WAITS),
            says=f"A task has waited for {_spoken(age)}, longer than {_spoken(limit)}: {slow}.",
        )

    def _dead_letters(self) -> Alert:
        if not self.dead_letters:
            return Alert(rule=DEAD_LETTERS, state=AlertState.OK, says="There are no dead letters.")
        kept = _counted(
            self.dead_letters, "message could not be processed", "messages could not be processed"
        )
        return Alert(rule=DEAD_LETTERS, state=AlertState.FIRING, says=f"{kept}: replay or delete.")

    def _tasks_fail(self) -> Alert:
        within = self.lately.half_hour
        failed = within.get(TaskStatus.FAILED, NO_USAGE).tasks
        ended = failed + within.get(TaskStatus.COMPLETED, NO_USAGE).tasks
        fails = failed > self.limits.failed_share * ended and failed > SHARED.tolerated_failures
        limit = _percent(self.limits.failed_share)
        says = f"{failed} of {ended} tasks failed within half an hour; the limit is {limit}."
        return Alert(rule=TASKS_FAIL, state=AlertState.FIRING if fails else AlertState.OK, says=says)

    def _backlog_grows(self) -> Alert:
        growing = {model: more for model, more in self.lately.growth.items() if more > 0}
        if not growing:
            says = f"No model has a growing queue of more than {self.limits.waiting_tasks:,} tasks."
            return Alert(rule=BACKLOG_GROWS, state=AlertState.OK, says=says)
        more = ", ".join(f"{model} by {count:,} tasks" for model, count in growing.items())
        says = f"The queue grew within half an hour: {more}."
        return Alert(rule=BACKLOG_GROWS, state=AlertState.FIRING, says=says)

    def _seconds_wasted(self) -> Alert:
        limit, lately = self.limits.wasted_share, self.lately
        hour, late = spent_seconds(lately.hour), spent_seconds(lately.half_hour)
        share = _wasted_share(hour)
        says = (
            f"{_percent(share)} of the last hour's GPU seconds were wasted; the limit is {_percent(limit)}."
        )
        state = AlertState.OK
        if share > limit:
            # The share exceeded the limit for half an hour if it did so in both halves of the hour.
            early_useful = hour.gpu_seconds - late.gpu_seconds
            early_wasted = hour.wasted_gpu_seconds - late.wasted_gpu_seconds
            halves = _share(early_wasted, early_useful), _wasted_share(late)
            state = AlertState.FIRING if min(halves) > limit else AlertState.PENDING
        return Alert(rule=SECONDS_WASTED, state=state, says=says)

    def _age(self, model: str) -> timedelta:
        oldest = self.lines[model].oldest_queued_at
        return timedelta(0) if oldest is None else self.as_of - oldest


def spent_seconds(ended: Mapping[TaskStatus, UsageTotals]) -> UsageTotals:
    """Sum the usage of completed and failed tasks; owners cancel tasks on purpose."""
    counted = (TaskStatus.COMPLETED, TaskStatus.FAILED)
    return sum((ended.get(status, NO_USAGE) for status in counted), NO_USAGE)


def _wasted_share(totals: UsageTotals) -> float:
    return _share(totals.wasted_gpu_seconds, totals.gpu_seconds)


def _share(wasted: float, useful: float) -> float:
    return wasted / (useful + wasted) if useful + wasted > 0 else 0.0


def _state(*, held_for: timedelta, rule: AlertRule) -> AlertState:
    return AlertState.PENDING if held_for < rule.duration else AlertState.FIRING


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _spoken(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60:,} min"
