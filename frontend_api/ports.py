"""The doors that only the API uses. Adapters live in `frontend_api/adapters`, fakes in `tests/fakes`."""

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
    """Where workers hear of tasks. At least once: a task may be published any number of times."""

    def publish(self, *tasks: Task) -> None:
        """Return once the broker has confirmed a message for each of these tasks, at least one, within seconds.

        Raises DependencyUnavailableError when it did not confirm; messages may have arrived all the same.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Sighting:
    """A task as it stood at some moment; `task` is None when it was deleted.

    All who follow the task are given the same one.
    """

    task: Task | None


class TaskWatch(Protocol):
    """Tells of changes to tasks as they happen."""

    def follow(self, task: Task, tell: Callable[[Sighting], None]) -> Callable[[], None]:
        """Have `tell` called with what becomes of a task, as a TaskStore returned it, until the result is called.

        Told are states newer than `task`, each newer than the one before. Some may be left out, the newest never.
        `tell` runs on a thread of the watch's own and must not block; a call under way may still end after the
        following has. While the store is out of reach nothing is told; what was missed is told afterwards.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The right to be the one rescue that runs. Like a claim it ends by itself when its holder died."""

    holder: str
    expires_at: datetime
    revision: str = field(compare=False)
    """Which stored state this was read from; opaque to everybody but the RescueTurns."""


class RescueTurns(Protocol):
    """Keeps that one rescue runs at a time. Every method raises DependencyUnavailableError."""

    def take(self, holder: str, *, now: datetime, ttl: timedelta) -> Turn | None:
        """The turn, if nobody has it or the one who had it let it expire; None otherwise. Never waits."""
        ...

    def renew(self, turn: Turn, *, now: datetime, ttl: timedelta) -> Turn | None:
        """The same turn for another `ttl`; None when somebody else has taken it meanwhile."""
        ...

    def give_back(self, turn: Turn) -> None:
        """Let others have theirs at once; no effect when somebody else has taken it already."""
        ...


class ImageGoneError(Exception):
    """The bucket has no object of this name any more."""


class ImageBucket(Protocol):
    """The bucket that workers store images in, as its readers and removers see it."""

    def read(self, image: StoredImage) -> bytes:
        """The object's bytes, whole. Raises ImageGoneError, DependencyUnavailableError."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove every object of a task, of every attempt, checkpoints included; none to remove is no error.

        Raises DependencyUnavailableError, and may then be called again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLink:
    """A URL that anybody who holds it may fetch until it expires."""

    url: str
    expires_at: datetime


class ImageLinks(Protocol):
    """Makes links that let a browser fetch an image from the bucket itself."""

    def signed(self, image: StoredImage) -> SignedLink | None:
        """A link to the object, or None where links cannot be signed: the API then sends the bytes.

        Raises DependencyUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling. `user_id` owns the tasks that this caller submits, and sees no others."""

    user_id: str
    scopes: frozenset[Scope] = ALL_SCOPES
    """What it may do: everything, unless an API key speaks for it that may do less."""
    good_until: datetime | None = None
    """When the API key ends that speaks for it, if one does and it ends."""
    api_key_id: str | None = None
    """Which one that is: logs name it, so that whatever a leaked key did can be found."""


class NotAuthenticatedError(Exception):
    """The request carries no credentials, or none that can be believed; the message says which, not why in depth."""


class Authenticator(Protocol):
    """Tells who is calling from a request's headers."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """Who is calling. Raises NotAuthenticatedError, and DependencyUnavailableError when keys cannot be had."""
        ...


class TaskCounts(Protocol):
    """Counts tasks, in the store itself. Every method raises DependencyUnavailableError.

    A count stops at `at_most`, which bounds what it costs.
    """

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """How many tasks of one user are queued or processing."""
        ...

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """How many tasks of one user were submitted at this moment or later, and still exist."""
        ...

    def queued(self, at_most: int) -> int:
        """How many tasks are queued, of all users."""
        ...


class PromptTokenizers(Protocol):
    """Splits prompts into tokens as the models do."""

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        """The index of the first character of each token, without begin and end tokens.

        None where the model's tokenizer cannot be read here.
        """
        ...


class UsageBook(Protocol):
    """Adds up what tasks have cost, in the store itself. Raises DependencyUnavailableError."""

    def totals_of(self, user_id: str, days: Sequence[date]) -> tuple[UsageTotals, ...]:
        """Over one user's tasks that ended on each of these days in UTC; those that were deleted count as before.

        All are read as of one moment, so that a task that is deleted meanwhile is counted once.
        """
        ...


class ApiKeyStore(Protocol):
    """Where API keys are kept. Every method raises DependencyUnavailableError when it does not answer in time."""

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    def get(self, key_id: str) -> ApiKey:
        """The key; raises ApiKeyNotFoundError."""
        ...

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        """All keys of one user, newest first."""
        ...

    def note_used(self, key: ApiKey, now: datetime) -> None:
        """Note that it opened a door; raises ApiKeyNotFoundError when it was deleted meanwhile."""
        ...

    def delete(self, key_id: str) -> None:
        """Forget a key; none of this id is no error."""
        ...


class InternalCallers(Protocol):
    """Knows the machines, such as the scheduler, that may call `/internal`."""

    def check(self, headers: Mapping[str, str], *, url_token: str | None = None) -> None:
        """Return if the caller is one of them. Raises as Authenticator.principal does.

        `url_token` is the address's `token`: the emulator's pushes carry no header that could hold one.
        """
        ...


class Probe(Protocol):
    """Asks one dependency whether it can be reached."""

    @property
    def name(self) -> str:
        """The dependency's name, as `/readyz` shows it."""
        ...

    def check(self) -> None:
        """Return within seconds if the dependency answered. Raises DependencyUnavailableError."""
        ...


class NotAnOperatorError(Exception):
    """The caller is known, but none of the operators."""


class Operators(Protocol):
    """Knows those who look after what belongs to nobody, such as dead letters."""

    def check(self, headers: Mapping[str, str]) -> Principal:
        """Who is calling, if it is one of them. Raises NotAnOperatorError, and as Authenticator.principal does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """One page of dead letters, newest first; `next_page_token` is None on the last one."""

    letters: tuple[DeadLetter, ...]
    next_page_token: str | None


class DeadLetterArchive(Protocol):
    """Where dead letters are kept. Every method raises DependencyUnavailableError when it does not answer in time."""

    def add(self, letter: DeadLetter) -> bool:
        """Keep a letter; False when one with its id is kept already, which is then left as it is."""
        ...

    def get(self, letter_id: str) -> DeadLetter:
        """The letter; raises DeadLetterNotFoundError."""
        ...

    def list_page(self, *, page_size: int, page_token: str | None = None) -> DeadLetterPage:
        """A page of all letters, newest first, without their bodies; raises InvalidPageTokenError."""
        ...

    def note_replayed(self, letter_id: str, now: datetime) -> None:
        """Note that its task was given another chance; raises DeadLetterNotFoundError."""
        ...

    def delete(self, letter_id: str) -> None:
        """Forget a letter; raises DeadLetterNotFoundError."""
        ...

    def purge(self, *, died_before: datetime, limit: int) -> int:
        """Forget the oldest letters of those that died before the moment, at most `limit`, and say how many."""
        ...
