"""Ports that only the API uses. Adapters: `frontend_api/adapters`; fakes: `tests/fakes`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from common.domain.images import StoredImage
from common.domain.task import Task
from frontend_api.api_key import ALL_SCOPES, ApiKey, Scope
from frontend_api.dead_letter import DeadLetter
from frontend_api.usage_totals import UsageTotals


class TaskQueue(Protocol):
    """The queue of the workers. At least once: a task may be published several times."""

    def publish(self, *tasks: Task) -> None:
        """Return once the broker has confirmed at least one message for each task, within seconds.

        Raises DependencyUnavailableError without a confirmation; messages may have arrived
        nevertheless.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Sighting:
    """A state of a task at one moment; `task` is None if the task was deleted.

    All subscribers of the task get the same object.
    """

    task: Task | None


class TaskWatch(Protocol):
    """Reports changes of tasks as they happen."""

    def follow(self, task: Task, tell: Callable[[Sighting], None]) -> Callable[[], None]:
        """Call `tell` with each newer state of a task until the returned function is called.

        Every reported state is newer than `task` and than the state before it. States in between
        may be skipped; the newest is always reported. `tell` runs on a thread of the watch and must
        not block; a running call may end after the subscription does. While the store is
        unreachable, nothing is reported; missed changes are reported afterwards.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The lock that allows one rescue to run. It expires by itself if its holder dies."""

    holder: str
    expires_at: datetime
    revision: str = field(compare=False)
    """The stored revision that this was read from; opaque except for RescueTurns."""


class RescueTurns(Protocol):
    """Ensures that one rescue runs at a time. Every method raises DependencyUnavailableError."""

    def take(self, holder: str, *, now: datetime, ttl: timedelta) -> Turn | None:
        """Acquire the lock if it is free or expired; None otherwise. Never waits."""
        ...

    def renew(self, turn: Turn, *, now: datetime, ttl: timedelta) -> Turn | None:
        """Extend the lock by `ttl`; None if another process has acquired it meanwhile."""
        ...

    def give_back(self, turn: Turn) -> None:
        """Release the lock; no effect if another process has acquired it."""
        ...


class ImageGoneError(Exception):
    """The bucket no longer has an object with this name."""


class ImageBucket(Protocol):
    """Read and delete access to the bucket in which workers store images."""

    def read(self, image: StoredImage) -> bytes:
        """Return the object's bytes, whole. Raises ImageGoneError, DependencyUnavailableError."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Delete all objects of a task, of every attempt, including checkpoints. Idempotent.

        Raises DependencyUnavailableError, and can then be called again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLink:
    """A URL that works for any holder until it expires."""

    url: str
    expires_at: datetime


class ImageLinks(Protocol):
    """Creates links with which a browser fetches an image directly from the bucket."""

    def signed(self, image: StoredImage) -> SignedLink | None:
        """Return a link to the object, or None if links cannot be signed.

        Without a link, the API sends the bytes. Raises DependencyUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated caller. `user_id` owns the tasks that it submits and sees no others."""

    user_id: str
    scopes: frozenset[Scope] = ALL_SCOPES
    """The caller's permissions: all, unless it uses an API key with fewer."""
    good_until: datetime | None = None
    """Expiry of the API key that the caller uses, if any."""
    api_key_id: str | None = None
    """Id of that key: logs contain it, so that the actions of a leaked key can be found."""


class NotAuthenticatedError(Exception):
    """The request has no credentials, or invalid ones; the message names which, without details."""


class Authenticator(Protocol):
    """Identifies the caller from a request's headers."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """Return the caller.

        Raises NotAuthenticatedError, and DependencyUnavailableError when keys cannot be read.
        """
        ...


class TaskCounts(Protocol):
    """Counts tasks in the store. Every method raises DependencyUnavailableError.

    A count stops at `at_most`, which bounds its cost.
    """

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """Count the queued and processing tasks of one user."""
        ...

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """Count the tasks of one user that were submitted at `since` or later and still exist."""
        ...

    def queued(self, at_most: int) -> int:
        """Count the queued tasks of all users."""
        ...


class PromptTokenizers(Protocol):
    """Splits prompts into tokens as the models do."""

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        """Return the index of the first character of each token, without begin and end tokens.

        None if the model's tokenizer cannot be read here.
        """
        ...


class UsageBook(Protocol):
    """Sums the usage of tasks in the store. Raises DependencyUnavailableError."""

    def totals_of(self, user_id: str, days: Sequence[date]) -> tuple[UsageTotals, ...]:
        """Return the totals of one user's tasks that finished on each of these days in UTC.

        Deleted tasks still count. All days are read from one snapshot, so that a task that is
        deleted meanwhile is counted once.
        """
        ...


class ApiKeyStore(Protocol):
    """Stores API keys. Every method raises DependencyUnavailableError after a timeout."""

    def add(self, key: ApiKey) -> None:
        """Store a new key."""
        ...

    def get(self, key_id: str) -> ApiKey:
        """Return the key. Raises ApiKeyNotFoundError."""
        ...

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        """Return all keys of one user, newest first."""
        ...

    def note_used(self, key: ApiKey, now: datetime) -> None:
        """Record a use of the key. Raises ApiKeyNotFoundError if it was deleted meanwhile."""
        ...

    def delete(self, key_id: str) -> None:
        """Delete a key. Idempotent."""
        ...


class InternalCallers(Protocol):
    """Identifies the machines, such as the scheduler, that may call `/internal`."""

    def check(self, headers: Mapping[str, str], *, url_token: str | None = None) -> None:
        """Return if the caller is one of them. Raises as Authenticator.principal does.

        `url_token` is the URL's `token` parameter: the emulator's pushes have no header that could
        hold it.
        """
        ...


class Probe(Protocol):
    """Checks whether one dependency is reachable."""

    @property
    def name(self) -> str:
        """The dependency's name, as `/readyz` shows it."""
        ...

    def check(self) -> None:
        """Return within seconds if the dependency answered. Raises DependencyUnavailableError."""
        ...


class NotAnOperatorError(Exception):
    """The caller is authenticated, but not an operator."""


class Operators(Protocol):
    """Identifies the operators, who manage what no user owns, such as dead letters."""

    def check(self, headers: Mapping[str, str]) -> Principal:
        """Return the caller if it is an operator.

        Raises NotAnOperatorError, and as Authenticator.principal does.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """One page of dead letters, newest first; `next_page_token` is None on the last page."""

    letters: tuple[DeadLetter, ...]
    next_page_token: str | None


class DeadLetterArchive(Protocol):
    """Stores dead letters. Every method raises DependencyUnavailableError after a timeout."""

    def add(self, letter: DeadLetter) -> bool:
        """Store a letter; return False and change nothing if one with its id exists."""
        ...

    def get(self, letter_id: str) -> DeadLetter:
        """Return the letter. Raises DeadLetterNotFoundError."""
        ...

    def list_page(self, *, page_size: int, page_token: str | None = None) -> DeadLetterPage:
        """Return a page of letters, newest first, without bodies. Raises InvalidPageTokenError."""
        ...

    def note_replayed(self, letter_id: str, now: datetime) -> None:
        """Record that the letter's task was queued again. Raises DeadLetterNotFoundError."""
        ...

    def delete(self, letter_id: str) -> None:
        """Delete a letter. Raises DeadLetterNotFoundError."""
        ...

    def purge(self, *, died_before: datetime, limit: int) -> int:
        """Delete at most `limit` letters that died before `died_before`, oldest first.

        Returns how many were deleted.
        """
        ...
