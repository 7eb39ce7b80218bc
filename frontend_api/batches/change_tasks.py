"""Change many tasks of a caller, each by the use case that changes a single one."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TypeAlias

from common.domain.errors import DependencyUnavailableError, DomainError
from common.domain.task import Task
from common.ports import TaskFilter, TaskPage, TaskStore
from frontend_api.identity.request_rate import RequestRate

MAX_CHANGED_TASKS = 100
MAX_REQUESTS = 5
"""Of one caller in a process: one that runs, and others that wait for it."""
_AT_ONCE = 8
"""A deletion takes about ten calls to Firestore and the bucket, one after the other."""
Change: TypeAlias = Callable[[str], Task | None]
"""Changes the task with this id and returns it; None after a deletion."""
ChangeOutcome: TypeAlias = Task | DomainError | None
"""What a Change returned or raised."""


class TooManyChangesError(DomainError):
    code = "too_many_waiting"
    retryable = True
    retry_after_seconds = 2

    def __init__(self) -> None:
        super().__init__(
            f"{MAX_REQUESTS} requests of yours that change many tasks are in progress, which is the limit; "
            "send the next one when one has finished"
        )


class TurnsOfCallers:
    """Lets the requests of each caller run one after the other. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}
        """The lock of each caller, and the number of its requests."""

    @contextmanager
    def turn_of(self, user_id: str) -> Iterator[None]:
        """Wait until no other request of this caller is in such a block. Raises TooManyChangesError.

        Requests that wait hold threads, which other callers need.
        """
        with self._lock:
            own, requests = self._locks.get(user_id, (threading.Lock(), 0))
            if requests >= MAX_REQUESTS:
                raise TooManyChangesError
            self._locks[user_id] = own, requests + 1
        try:
            with own:
                yield
        finally:
            with self._lock:
                _, requests = self._locks[user_id]
                if requests > 1:
                    self._locks[user_id] = own, requests - 1
                else:
                    del self._locks[user_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTasks:
    """Changes up to MAX_CHANGED_TASKS tasks. Each counts as one request of its caller, as it would alone.

    The requests of a caller run one after the other: their threads would delay other callers.
    """

    store: TaskStore
    requests: RequestRate
    turns: TurnsOfCallers = field(default_factory=TurnsOfCallers)

    def turn_of(self, user_id: str) -> AbstractContextManager[None]:
        """Wait for the caller's turn, in which the tasks are selected and changed. Raises TooManyChangesError."""
        return self.turns.turn_of(user_id)

    def select(self, user_id: str, only: TaskFilter, page_token: str | None) -> TaskPage:
        """Return the next tasks that a filter selects, at most as many as the request rate permits.

        Raises InvalidPageTokenError.
        """
        return self.store.list_for(
            user_id,
            only=only,
            page_size=1 + self.requests.remaining(user_id, at_most=MAX_CHANGED_TASKS - 1),
            page_token=page_token,
        )

    def __call__(self, task_ids: Sequence[str], change: Change, *, user_id: str) -> list[ChangeOutcome]:
        """Change the tasks, several at once, and return the outcomes in the same order.

        Tasks beyond the request rate are refused. Once a dependency is unavailable, the remaining
        tasks get the same error without a try, so that the response is not delayed by each of them.
        """
        unavailable: list[DependencyUnavailableError] = []

        def outcome_of(task_id: str) -> ChangeOutcome:
            if unavailable:
                return unavailable[0]
            try:
                return change(task_id)
            except DependencyUnavailableError as error:
                unavailable.append(error)
                return error
            except DomainError as error:
                return error

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="change-tasks") as pool:
            # The request itself is counted already.
            granted = 1 + self.requests.take(user_id, len(task_ids) - 1) if task_ids else 0
            # Each call has its own copy of the context, which contains the request's trace.
            futures = [pool.submit(copy_context().run, outcome_of, task_id) for task_id in task_ids[:granted]]
        refused = len(task_ids) - granted
        return [future.result() for future in futures] + [self.requests.exceeded() for _ in range(refused)]
