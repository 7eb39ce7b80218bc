"""Operations on webhook secrets and deliveries."""

from darkroom.calls import Calls, path_of, read_as
from darkroom.models.task import TaskRef, id_of
from darkroom.models.webhook import WebhookDeliveries, WebhookDelivery, WebhookSecret, WebhookSecrets
from darkroom.sansio import Operation


def secrets(calls: Calls) -> Operation[tuple[WebhookSecret, ...]]:
    return (yield from calls.fetch(WebhookSecrets, calls.request("GET", path_of("webhook-secrets")))).secrets


def rotate(calls: Calls) -> Operation[tuple[WebhookSecret, ...]]:
    """Rotate the secret. It is not retried if the outcome is unknown: two rotations invalidate both secrets."""
    request = calls.request("POST", path_of("webhook-secrets", "rotate"))
    return read_as(WebhookSecrets, (yield from calls.send(request, is_repeatable=False))).secrets


def deliveries(calls: Calls, task: TaskRef) -> Operation[WebhookDeliveries]:
    return calls.fetch(
        WebhookDeliveries, calls.request("GET", path_of("tasks", id_of(task), "webhook-deliveries"))
    )


def replay(calls: Calls, task: TaskRef, number: int) -> Operation[WebhookDelivery]:
    """Send an event again. Its receiver knows it by its id, so a second replay does no harm."""
    path = path_of("tasks", id_of(task), "webhook-deliveries", str(number), "replay")
    return calls.fetch(WebhookDelivery, calls.request("POST", path))
