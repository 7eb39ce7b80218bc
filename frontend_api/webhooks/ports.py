"""The ports of webhooks. Adapters are in `frontend_api/adapters`, fakes in `tests/fakes`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from frontend_api.webhooks.delivery_log import Outcome, WebhookLog
from frontend_api.webhooks.url_policy import CallbackUrl


class WebhookLogs(Protocol):
    """Stores delivery logs, and which callers have deliveries to try again.

    Every method raises DependencyUnavailableError.
    """

    def get(self, task_id: str) -> WebhookLog:
        """Return the log of a task; an empty one when no delivery was tried."""

    def update(
        self, task_id: str, change: Callable[[WebhookLog], WebhookLog], *, last_seen: WebhookLog | None = None
    ) -> WebhookLog:
        """Apply a pure change to the stored log and return the written log; see TaskStore.update."""

    def delete(self, task_id: str) -> None:
        """Delete the log of a task. No error when there is none."""

    def callers_due(self, *, now: datetime, limit: int) -> tuple[str, ...]:
        """Return the callers with a delivery to try again now, the longest waiting first.

        May name callers whose due deliveries were deleted.
        """

    def due_of(self, user_id: str, *, now: datetime, limit: int) -> tuple[str, ...]:
        """Return the ids of a caller's tasks with a delivery to try again now, the longest due first."""

    def settle(self, user_id: str, *, now: datetime) -> None:
        """Let the caller wait for its next delivery, behind the callers that wait already if it is due.

        The caller also waits behind them if a delivery of its changes meanwhile.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotations:
    """How often a caller has rotated the secret, and when last."""

    count: int = 0
    last_at: datetime | None = None


class SecretRotations(Protocol):
    """Counts each caller's rotations; stores no secret.

    Every method raises DependencyUnavailableError.
    """

    def of(self, user_id: str) -> Rotations:
        """Return the rotations of a caller; a count of zero when there were none."""

    def add(self, user_id: str, now: datetime) -> Rotations:
        """Count one more rotation and return the new state."""


class WebhookSender(Protocol):
    def send(self, url: CallbackUrl, *, headers: Mapping[str, str], body: bytes, user_id: str) -> Outcome:
        """POST the body for a caller. Never follows a redirect, and returns within seconds.

        Connects only to addresses that the callback rules allow. Raises only ReceiverBusyError.
        """
