"""Deliver an event: one request to the callback URL, recorded in the delivery log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from opentelemetry.trace import SpanKind

from common.domain.errors import TaskNotFoundError
from common.domain.task import Task, TaskStatus
from common.observability.metrics import (
    RECORDS_REFUSED,
    WEBHOOK_SECONDS,
    WEBHOOK_TRIES,
    counter,
    histogram,
)
from common.observability.tracing import current_traceparent, injected, mark_failed, spanned
from common.ports import Clock, TaskStore
from common.wire_formats.task_event import TaskEvent, callback_event_of, ending_of
from frontend_api.webhooks.callback_headers import HeaderCipher
from frontend_api.webhooks.callback_seal import CallbackSeal
from frontend_api.webhooks.delivery_limiter import DeliveryLimiter, ReceiverBusyError
from frontend_api.webhooks.delivery_log import Outcome, WebhookLog
from frontend_api.webhooks.ports import WebhookLogs, WebhookSender
from frontend_api.webhooks.retry_schedule import RetrySchedule
from frontend_api.webhooks.signing_secrets import SigningSecrets, signed_headers
from frontend_api.webhooks.url_policy import CallbackRefusedError, CallbackUrl, CallbackUrlPolicy

_log = structlog.get_logger(__name__)
_tries = counter(WEBHOOK_TRIES)
_refused = counter(RECORDS_REFUSED)
_try_seconds = histogram(WEBHOOK_SECONDS)
_KEY_ROLLOUT = timedelta(minutes=10)
"""While a new webhook key is deployed, a process with the old one may try events of tasks that have the
new one. After this time of a task, its key is known to all processes.
"""
BodyOf = Callable[[TaskEvent, Task], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverEvent:
    """Delivers task events to callback URLs. `body_of` builds the request body."""

    store: TaskStore
    logs: WebhookLogs
    sender: WebhookSender
    secrets: SigningSecrets
    limiter: DeliveryLimiter
    url_policy: CallbackUrlPolicy
    header_cipher: HeaderCipher
    callback_seal: CallbackSeal
    schedule: RetrySchedule
    clock: Clock
    body_of: BodyOf

    def __call__(self, event: TaskEvent) -> bool:
        """Try once to deliver the event, if that is due, and record the result with the time of the next try.

        Return False if no slot was free. After any return the message of the event is not needed any
        more. May be called any number of times with the same event. Raises DependencyUnavailableError,
        after which the caller must repeat it.
        """
        try:
            task = self.store.get(event.task_id)
        except TaskNotFoundError:  # its events are obsolete
            self.logs.delete(event.task_id)  # a try that ended after the deletion may have left it
            return True
        if task.callback_url is None or callback_event_of(event) not in task.callback_events:
            return True
        seen, at, had_slot = self.logs.get(task.id), self.clock.now(), True
        if not seen.is_due(event.id, now=at):
            return True
        if _is_current(event, task):
            had_slot, change = self._tried(event, task, task.callback_url, at)
        else:
            change = partial(WebhookLog.without_obsolete, event_id=event.id)
        self.logs.update(task.id, change, last_seen=seen)
        self._remove_log_of_deleted(task.id)
        return had_slot

    def _tried(
        self, event: TaskEvent, task: Task, url: str, at: datetime
    ) -> tuple[bool, Callable[[WebhookLog], WebhookLog]]:
        """Make one try, if there is a slot. Return whether there was, and the change of the log."""
        change = partial(
            WebhookLog.tried,
            event=event,
            url=url,
            at=at,
            schedule=self.schedule,
            expires_at=task.expires_at or at + task.keep_for,
            traceparent=current_traceparent(),
        )
        try:
            outcome = self._try(event, task, url, at)
        except ReceiverBusyError as error:
            _log.info("webhook_postponed", task_id=event.task_id, event_id=event.id)
            return False, partial(WebhookLog.postponed, is_own=error.is_own, **change.keywords)
        _record(event, outcome)
        return True, partial(change, outcome=outcome)

    def _remove_log_of_deleted(self, task_id: str) -> None:
        """Delete the log that this try has stored if the task was deleted during the try.

        A deletion removes the log after the document. So either it finds this log, or this call finds
        no document.
        """
        try:
            self.store.get(task_id)
        except TaskNotFoundError:
            self.logs.delete(task_id)

    def _try(self, event: TaskEvent, task: Task, url: str, at: datetime) -> Outcome:
        if not self.callback_seal.is_valid(task):
            _refused.add(1, {"record": "callback"})
            return Outcome(
                error="the callback was stored with another webhook key, or changed since",
                is_final=at >= task.created_at + _KEY_ROLLOUT,
            )
        try:
            receiver = self.url_policy.parse(url)
            own = self.header_cipher.decrypt(task.user_id, task.callback_headers)
        except CallbackRefusedError as error:  # the policy or the key has changed since the submission
            return Outcome(error=f"the callback URL {error}", is_final=True)
        with self.limiter.slot(receiver.host, user_id=task.user_id):
            keys = [secret.key for secret in self.secrets.of(task.user_id)]
            body = self.body_of(event, task)
            headers = signed_headers(event.id, at=at, body=body, keys=keys)
            return self._send(receiver, {**own, **headers}, body, user_id=task.user_id)

    def _send(
        self, receiver: CallbackUrl, headers: Mapping[str, str], body: bytes, *, user_id: str
    ) -> Outcome:
        """Send the request with trace headers.

        The span records the host but not the path, which may contain a secret.
        """
        attributes: dict[str, str | int] = {
            "http.request.method": "POST",
            "server.address": receiver.host,
            "server.port": receiver.port,
        }
        with spanned("POST", kind=SpanKind.CLIENT, attributes=attributes) as span:
            outcome = self.sender.send(receiver, headers=injected(headers), body=body, user_id=user_id)
            if outcome.status is not None:
                span.set_attribute("http.response.status_code", outcome.status)
            if not outcome.is_success:
                mark_failed(span, str(outcome.status or outcome.kind))
            return outcome


def _record(event: TaskEvent, outcome: Outcome) -> None:
    attributes = {"outcome": outcome.kind}
    _tries.add(1, attributes)
    _try_seconds.record(outcome.duration_seconds, attributes)
    _log.info(
        "webhook_tried",
        task_id=event.task_id,
        event_id=event.id,
        status=outcome.status,
        error=outcome.error,
        duration_seconds=round(outcome.duration_seconds, 3),
    )
    if outcome.is_final:
        _log.warning("callback_refused", task_id=event.task_id, event_id=event.id, reason=outcome.error)


def _is_current(event: TaskEvent, task: Task) -> bool:
    """Return whether the event matches the task's current state.

    It does not after a retry, which publishes its own final event.
    """
    if event.user_id != task.user_id:
        return False
    if callback_event_of(event) == "finished":
        return task.status.is_terminal and ending_of(task).id == event.id
    return task.status is TaskStatus.PROCESSING and task.attempt == event.attempt
