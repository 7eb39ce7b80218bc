"""Conditions: the alerts of terraform/alerts.tf, evaluated from the store at one moment. Pure.

An alert evaluates metrics of the whole deployment over time; a condition reads the current state of
the store. Names, titles, severities, thresholds and runbook rows are those of the alerts; a test
compares them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.domain.task import TaskStatus
from frontend_api.queue_gauge import QueueLine
from frontend_api.task_flow import Lately
from frontend_api.usage_totals import NO_USAGE, UsageTotals
from frontend_api.workload import Workload

FEW_FAILURES = 3
"""This many failures within half an hour are tolerated, whatever their share."""


class State(StrEnum):
    """State of a condition."""

    FINE = "fine"
    WATCH = "watch"
    """The condition holds, but not yet for the time after which the alert notifies."""
    WANTS_YOU = "wants_you"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLimits:
    """Alert thresholds: `alert_limits` in terraform/variables.tf."""

    waiting_tasks: int = 500
    oldest_seconds: float = 900
    failed_share: float = 0.05
    wasted_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The constant properties of one alert."""

    name: str
    title: str
    severity: str
    lasts: timedelta
    """How long the condition must hold before the alert notifies."""
    runbook: str
    """Beginning of the row in docs/operating/runbook.md."""


_IDLE = "Tasks stay `queued`, `enqueued_at` is set, workers are idle."
NO_WORKER = Watched(
    name="no_worker",
    title="No worker is alive while tasks wait",
    severity="CRITICAL",
    lasts=timedelta(minutes=20),
    runbook="Workers do not come, or do not go.",
)
OLDEST_WAITS = Watched(
    name="oldest_waits",
    title="A task has waited too long",
    severity="ERROR",
    lasts=timedelta(minutes=5),
    runbook=_IDLE,
)
DEAD_LETTERS = Watched(
    name="dead_letters",
    title="There are dead letters",
    severity="ERROR",
    lasts=timedelta(0),
    runbook="tasks fail as `dead_lettered`, or `darkroom dead-letters list` shows something",
)
TASKS_FAIL = Watched(
    name="tasks_fail",
    title="Tasks fail",
    severity="ERROR",
    lasts=timedelta(minutes=5),
    runbook="A task failed as `attempts_exhausted`.",
)
BACKLOG_GROWS = Watched(
    name="backlog_grows",
    title="The backlog grows",
    severity="WARNING",
    lasts=timedelta(minutes=15),
    runbook=_IDLE,
)
SECONDS_WASTED = Watched(
    name="seconds_wasted",
    title="GPU seconds are wasted",
    severity="WARNING",
    lasts=timedelta(minutes=30),
    runbook="Images are begun again though checkpoints were there.",
)
ALL_WATCHED = (NO_WORKER, OLDEST_WAITS, DEAD_LETTERS, TASKS_FAIL, BACKLOG_GROWS, SECONDS_WASTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The state of one alert, and a sentence with its figures."""

    watched: Watched
    state: State
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The data that all conditions are evaluated from, at one moment."""

    limits: AlertLimits
    as_of: datetime
    lines: Mapping[str, QueueLine]
    """The queue of each offered model."""
    workload: Workload
    dead_letters: int
    lately: Lately

    def __iter__(self) -> Iterator[Condition]:
        """Yield each condition, the most severe first."""
        yield self._no_worker()
        yield self._oldest_waits()
        yield self._dead_letters()
        yield self._tasks_fail()
        yield self._backlog_grows()
        yield self._seconds_wasted()

    def _no_worker(self) -> Condition:
        deserted = [
            model for model, line in self.lines.items() if line.queued and not self.workload.workers_of(model)
        ]
        if not deserted:
            alive = _counted(len(self.workload.workers), "worker is alive", "workers are alive")
            return Condition(watched=NO_WORKER, state=State.FINE, says=f"{alive}.")
        waiting = _counted(sum(self.lines[model].queued for model in deserted), "task waits", "tasks wait")
        age = max(self._age(model) for model in deserted)
        return Condition(
            watched=NO_WORKER,
            state=_state(held_for=age, watched=NO_WORKER),
            says=f"{waiting} for {', '.join(deserted)}, and no worker that serves it is alive.",
        )

    def _oldest_waits(self) -> Condition:
        limit = timedelta(seconds=self.limits.oldest_seconds)
        age = max(map(self._age, self.lines), default=timedelta(0))
        if age <= limit:
            says = f"Nobody has waited longer than {_spoken(limit)}."
            return Condition(watched=OLDEST_WAITS, state=State.FINE, says=says)
        slow = ", ".join(model for model in self.lines if self._age(model) > limit)
        return Condition(
            watched=OLDEST_WAITS,
            state=_state(held_for=age - limit, watched=OLDEST_WAITS),
            says=f"A task has waited for {_spoken(age)}, longer than {_spoken(limit)}: {slow}.",
        )

    def _dead_letters(self) -> Condition:
        if not self.dead_letters:
            return Condition(watched=DEAD_LETTERS, state=State.FINE, says="There are none.")
        kept = _counted(self.dead_letters, "message was given up on", "messages were given up on")
        return Condition(watched=DEAD_LETTERS, state=State.WANTS_YOU, says=f"{kept}: replay or delete.")

    def _tasks_fail(self) -> Condition:
        within = self.lately.half_hour
        failed = within.get(TaskStatus.FAILED, NO_USAGE).tasks
        ended = failed + within.get(TaskStatus.COMPLETED, NO_USAGE).tasks
        fails = failed > self.limits.failed_share * ended and failed > FEW_FAILURES
        says = f"{failed} of {ended} that ended within half an hour failed; {_percent(self.limits.failed_share)} may."
        return Condition(watched=TASKS_FAIL, state=State.WANTS_YOU if fails else State.FINE, says=says)

    def _backlog_grows(self) -> Condition:
        growing = {model: more for model, more in self.lately.growth.items() if more > 0}
        if not growing:
            says = f"No model has more than {self.limits.waiting_tasks:,} waiting and ever more coming."
            return Condition(watched=BACKLOG_GROWS, state=State.FINE, says=says)
        more = ", ".join(f"{count:,} more of {model}" for model, count in growing.items())
        says = f"Within half an hour came {more} than ended."
        return Condition(watched=BACKLOG_GROWS, state=State.WANTS_YOU, says=says)

    def _seconds_wasted(self) -> Condition:
        limit, lately = self.limits.wasted_share, self.lately
        hour, late = _spent(lately.hour), _spent(lately.half_hour)
        share = _wasted_share(hour)
        says = f"{_percent(share)} of the last hour's were drawn for nothing; {_percent(limit)} may be."
        state = State.FINE
        if share > limit:
            # The share exceeded the limit for half an hour if it did so in both halves of the hour.
            early_useful = hour.gpu_seconds - late.gpu_seconds
            early_wasted = hour.wasted_gpu_seconds - late.wasted_gpu_seconds
            halves = _share(early_wasted, early_useful), _wasted_share(late)
            state = State.WANTS_YOU if min(halves) > limit else State.WATCH
        return Condition(watched=SECONDS_WASTED, state=state, says=says)

    def _age(self, model: str) -> timedelta:
        oldest = self.lines[model].oldest_queued_at
        return timedelta(0) if oldest is None else self.as_of - oldest


def _spent(ended: Mapping[TaskStatus, UsageTotals]) -> UsageTotals:
    """Sum the usage of completed and failed tasks; owners cancel tasks on purpose."""
    counted = (TaskStatus.COMPLETED, TaskStatus.FAILED)
    return sum((ended.get(status, NO_USAGE) for status in counted), NO_USAGE)


def _wasted_share(totals: UsageTotals) -> float:
    return _share(totals.wasted_gpu_seconds, totals.gpu_seconds)


def _share(wasted: float, useful: float) -> float:
    return wasted / (useful + wasted) if useful + wasted > 0 else 0.0


def _state(*, held_for: timedelta, watched: Watched) -> State:
    return State.WATCH if held_for < watched.lasts else State.WANTS_YOU


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _spoken(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60:,} min"
