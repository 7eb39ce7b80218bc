"""The doors that webhooks need. Adapters live in `frontend_api/adapters`, fakes in `tests/fakes`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from frontend_api.callback_rules import CallbackUrl
from frontend_api.webhooks.delivery_log import Outcome, WebhookLog


class WebhookLogs(Protocol):
    """Where delivery logs are kept. Every method raises DependencyUnavailableError."""

    def get(self, task_id: str) -> WebhookLog:
        """The log of a task; an empty one when nothing was ever sent."""
        ...

    def update(
        self, task_id: str, change: Callable[[WebhookLog], WebhookLog], *, last_seen: WebhookLog | None = None
    ) -> WebhookLog:
        """Apply a pure change to the stored log and return what was written; see TaskStore.update."""
        ...

    def delete(self, task_id: str) -> None:
        """Forget the log of a task; none to forget is no error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotations:
    """How often a caller has asked for a new secret, and when last."""

    count: int = 0
    last_at: datetime | None = None


class SecretRotations(Protocol):
    """Counts each caller's rotations; knows no secret. Every method raises DependencyUnavailableError."""

    def of(self, user_id: str) -> Rotations:
        """None for a caller who never asked for one."""
        ...

    def add(self, user_id: str, now: datetime) -> Rotations:
        """Count one more and return how it stands."""
        ...


class WebhookSender(Protocol):
    """Makes one request to a receiver."""

    def send(self, url: CallbackUrl, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST the body. Never raises, never follows a redirect, and ends within seconds, whatever the receiver does.

        Connects only to addresses that the callback rules allow.
        """
        ...
