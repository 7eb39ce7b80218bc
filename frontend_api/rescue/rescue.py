"""Rescue: recover every unattended task. Called each minute, and after the queue lost messages.

One rescue runs at a time, only to save cost. Two at once would be harmless: at worst they publish
an extra message, and claims make that harmless.
"""

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from common.domain.errors import ContendedError, DependencyUnavailableError, DomainError, TaskNotFoundError
from common.domain.task import Task
from common.observability.metrics import TASKS_RESCUED, counter
from common.ports import Clock, StaleTaskKind, TaskStore
from frontend_api.inputs.use import UseInputs
from frontend_api.rescue.lock import RescueLock
from frontend_api.rescue.policy import RescuePolicy, Verdict
from frontend_api.tasks.final_events import PublishFinalEvent, with_event_pending
from frontend_api.tasks.publisher import TaskPublisher

_Result = TypeVar("_Result")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LONGEST_WITHOUT_INPUTS = timedelta(seconds=30)
"""With ten seconds for each try, an outage of the bucket does not outlast the lock."""
_MOST_PAGES = 100
"""Of one kind and round, with those of tasks that all wait for their inputs."""
_TASKS_WITH_INPUTS = 20
"""Per page: each may need a second, and the lock is renewed after a page."""
_log = structlog.get_logger(__name__)
_rescued = counter(TASKS_RESCUED)


class RescueRunningError(DomainError):
    code = "rescue_running"
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescued:
    by_verdict: Mapping[Verdict, int]

    @property
    def published(self) -> int:
        return sum(count for verdict, count in self.by_verdict.items() if verdict.publishes)

    @property
    def abandoned(self) -> int:
        return sum(count for verdict, count in self.by_verdict.items() if verdict.failure is not None)

    @property
    def left(self) -> int:
        """Number of tasks that needed nothing."""
        return self.by_verdict[Verdict.NO_ACTION]


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueStaleTasks:
    store: TaskStore
    publisher: TaskPublisher
    inputs: UseInputs
    publish_final_event: PublishFinalEvent
    lock: RescueLock
    clock: Clock
    policy: RescuePolicy

    def __call__(self, *, queue_lost_at: datetime | None = None) -> Rescued:
        """Process the stale tasks once, in pages.

        With `queue_lost_at`, every message confirmed before that time counts as lost and is
        published again. Raises RescueRunningError immediately if another rescue holds the lock, and
        DependencyUnavailableError midway if a dependency fails; the next round finds the rest. If no
        task's inputs can be kept, it raises the error after all other tasks.
        """
        now = self.clock.now()
        held = self.lock.acquire(uuid.uuid4().hex, now=now, ttl=self.policy.lock_ttl)
        if held is None:
            raise RescueRunningError("another rescue is running")
        lost_before = max(now - self.policy.deliver_within, queue_lost_at or _LONG_AGO)

        def decide(task: Task) -> Verdict:
            # The read of the task has corrected the clock.
            return self.policy.decide(task, now=self.clock.now(), messages_lost_before=lost_before)

        run = _Run(
            decide,
            contended=_LeftCallers(ContendedError, clock=self.clock),
            without_inputs=_LeftCallers(
                DependencyUnavailableError, clock=self.clock, longest=_LONGEST_WITHOUT_INPUTS
            ),
        )
        counts = Counter(dict.fromkeys(Verdict, 0))
        try:
            try:
                for page in self._pages(self._limits(now, lost_before), decide):
                    for task in page:
                        verdict = run.contended.attempt(task, partial(self._act, task, run))
                        counts[verdict or Verdict.NO_ACTION] += 1
                    held = self.lock.renew(held, now=self.clock.now(), ttl=self.policy.lock_ttl)
                    if held is None:  # another process has acquired it
                        break
            finally:
                if held is not None:
                    with suppress(DependencyUnavailableError):  # the lock then expires
                        self.lock.release(held)
                # Last: an outage of the event topic must not stop the rest. Also after an error, because
                # the next run lists these tasks after those that caused it.
                for task in run.abandoned:
                    run.contended.attempt(task, partial(self.publish_final_event.or_raise, task))
        finally:
            _report(counts)
        run.without_inputs.raise_if_all_failed()
        return Rescued(by_verdict=counts)

    def _limits(self, now: datetime, messages_lost_before: datetime) -> Mapping[StaleTaskKind, datetime]:
        """Return the kinds of tasks to list, each with the time before which a task is stale.

        Tasks to abandon come first, because they need no message.
        """
        return {
            StaleTaskKind.DEADLINE_EXCEEDED: now,
            StaleTaskKind.UNCLAIMED: now - self.policy.give_up_after,
            StaleTaskKind.CLAIM_EXPIRED: now,
            StaleTaskKind.NEVER_ENQUEUED: now - self.policy.confirm_within,
            StaleTaskKind.MESSAGE_LOST: messages_lost_before,
            StaleTaskKind.EVENT_UNPUBLISHED: now - self.policy.confirm_within,
        }

    def _pages(
        self, limits: Mapping[StaleTaskKind, datetime], decide: Callable[[Task], Verdict]
    ) -> Iterator[Sequence[Task]]:
        """Yield the stale tasks of every kind in pages.

        Tasks that need their inputs to be published come after all others that are not finished: the
        bucket may refuse each of them only after seconds. Pages of such tasks alone do not count: those that
        are refused stay the oldest. They are yielded empty, because the lock is renewed after each page.
        """
        with_inputs: dict[str, Task] = {}
        most = self.policy.page_size * self.policy.max_pages
        for kind, before in limits.items():
            if kind is StaleTaskKind.EVENT_UNPUBLISHED:
                yield from self._in_random_order(with_inputs.values())
            counted = 0
            for page in self._listed(kind, before):
                later = {task.id: task for task in page if task.parameters.inputs and decide(task).publishes}
                if len(with_inputs) < most:
                    with_inputs |= later  # by id: a task may be of two kinds
                others = [task for task in page if task.id not in later]
                yield others
                counted += bool(others)
                if counted == self.policy.max_pages:
                    break

    def _listed(self, kind: StaleTaskKind, before: datetime) -> Iterator[tuple[Task, ...]]:
        after: Task | None = None
        for _ in range(_MOST_PAGES):
            page = self.store.list_unattended(kind, before=before, limit=self.policy.page_size, after=after)
            if page:
                yield page
            if len(page) < self.policy.page_size:
                break
            after = page[-1]

    def _in_random_order(self, tasks: Iterable[Task]) -> Iterator[Sequence[Task]]:
        """Yield the tasks caller by caller.

        In a fixed order, the same callers could use up the time for refusals in each run.
        """
        place: dict[str, float] = defaultdict(random.SystemRandom().random)
        ordered = sorted(tasks, key=lambda task: place[task.user_id])
        for start in range(0, len(ordered), _TASKS_WITH_INPUTS):
            yield ordered[start : start + _TASKS_WITH_INPUTS]

    def _act(self, task: Task, run: "_Run") -> Verdict:
        verdict = run.decide(task)
        if verdict.publishes:
            # The submission may have failed before it did so. Without an input a worker fails the task.
            keep = partial(self.inputs.keep, [task])
            if task.parameters.inputs and run.without_inputs.attempt(task, keep) is None:
                return Verdict.NO_ACTION
            self.publisher.publish(task)
        elif verdict.failure is not None:
            return self._abandon(task, run)
        elif verdict is Verdict.EVENT_UNPUBLISHED:
            self.publish_final_event.or_raise(task)
        return verdict

    def _abandon(self, task: Task, run: "_Run") -> Verdict:
        verdict = Verdict.NO_ACTION
        found = task

        def change(stored: Task) -> Task:
            # Decide again on the stored task: a worker may have claimed it since it was listed.
            nonlocal verdict, found
            found = stored
            verdict = run.decide(stored)
            if verdict.failure is None:
                return stored
            return with_event_pending(stored.abandoned(verdict.failure, self.clock.now()))

        with suppress(TaskNotFoundError):
            finished = self.store.update(task.id, change, last_seen=task)
            if verdict.failure is not None:
                self.publish_final_event.bill.count_settled(found, finished)
                run.abandoned.append(finished)
        return Verdict.NO_ACTION if verdict.failure is None else verdict


class _LeftCallers:
    """Callers for one of whose tasks an action has failed, each try of which takes seconds.

    The tasks of others must not wait. So the rest of the caller's tasks are left to the next run, and
    those of all callers once the failures took as long as `longest`.
    """

    def __init__(
        self,
        error: type[DependencyUnavailableError],
        *,
        clock: Clock,
        longest: timedelta = timedelta.max,
    ) -> None:
        self._error = error
        self._clock = clock
        self._longest = longest
        self._took = timedelta()
        self._user_ids: set[str] = set()
        self._failed: DependencyUnavailableError | None = None
        self._has_succeeded = False

    def attempt(self, task: Task, act: Callable[[], _Result]) -> _Result | None:
        """Return the result; None if the task was left."""
        if task.user_id in self._user_ids or self._took >= self._longest:
            return None
        began = self._clock.now()
        try:
            result = act()
        except self._error as error:
            self._failed = error
            self._took += self._clock.now() - began
            self._user_ids.add(task.user_id)
            _log.warning("rescue_left_task", task_id=task.id, reason=str(error))
            return None
        self._has_succeeded = True
        return result

    def raise_if_all_failed(self) -> None:
        """Raise the last error if no action has succeeded: it is an outage."""
        if self._failed is not None and not self._has_succeeded:
            raise self._failed


@dataclass(frozen=True, slots=True)
class _Run:
    decide: Callable[[Task], Verdict]
    contended: _LeftCallers
    """Callers who change a task faster than a run can write it."""
    without_inputs: _LeftCallers
    """Callers of whose task the bucket has not kept the inputs."""
    abandoned: list[Task] = field(default_factory=list)


def _report(counts: Mapping[Verdict, int]) -> None:
    _log.info("rescue_finished", **{verdict.value: count for verdict, count in counts.items()})
    for verdict, count in counts.items():
        if count and verdict is not Verdict.NO_ACTION:
            _rescued.add(count, {"verdict": verdict.value})
