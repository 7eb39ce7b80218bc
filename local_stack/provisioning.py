"""Create the resources that Terraform creates in the cloud: topics, subscriptions, the bucket.
Idempotent.

Uses the services' REST interfaces, because importing the client libraries would take the supervisor
longer than all its other work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from common.shared_values import SHARED
from local_stack.errors import ProvisioningError
from local_stack.loopback import send
from local_stack.worker_pools import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceNames:
    """The names of all resources; the defaults are those of the local stack."""

    project_id: str = "demo-darkroom"
    tasks_topic: str = SHARED.topics.tasks
    events_topic: str = SHARED.topics.events
    events_subscription: str = "darkroom-task-events-local"
    events_push_subscription: str = SHARED.subscriptions.events_push
    dead_letter_topic: str = SHARED.topics.dead_letters
    dead_letter_subscription: str = SHARED.subscriptions.dead_letters_archive
    """For an operator to read when the API failed to archive a message; kept for a week."""
    dead_letter_push_subscription: str = SHARED.subscriptions.dead_letters_push
    images_bucket: str = "darkroom-images"

    def tasks_subscription(self, pool: str) -> str:
        return f"{self.tasks_topic}-{pool}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEndpoints:
    dead_letters: str
    events: str


def provision_pubsub(
    host: str,
    names: ResourceNames,
    pools: Sequence[WorkerPool],
    *,
    endpoints: PushEndpoints | None = None,
) -> None:
    """Create topics and subscriptions. Raises ProvisioningError."""
    project = f"http://{host}/v1/projects/{names.project_id}"
    for topic in (names.tasks_topic, names.events_topic, names.dead_letter_topic):
        _create("PUT", f"{project}/topics/{topic}", {})

    def subscribe(subscription: str, topic: str, **settings: object) -> None:
        body = {"topic": f"projects/{names.project_id}/topics/{topic}", **settings}
        _create("PUT", f"{project}/subscriptions/{subscription}", body)

    for pool in pools:
        subscribe(
            names.tasks_subscription(pool.name),
            names.tasks_topic,
            ackDeadlineSeconds=SHARED.pubsub.lease_seconds,
            filter=pool.subscription_filter(pools),
            # No retry policy, because the emulator's loses messages. The proxy delays returned
            # messages.
            deadLetterPolicy={
                "deadLetterTopic": f"projects/{names.project_id}/topics/{names.dead_letter_topic}",
                "maxDeliveryAttempts": SHARED.pubsub.max_delivery_attempts,
            },
        )
    subscribe(names.events_subscription, names.events_topic, ackDeadlineSeconds=SHARED.pubsub.lease_seconds)
    subscribe(
        names.dead_letter_subscription,
        names.dead_letter_topic,
        ackDeadlineSeconds=SHARED.pubsub.lease_seconds,
    )
    if endpoints is not None:
        subscribe(
            names.dead_letter_push_subscription,
            names.dead_letter_topic,
            ackDeadlineSeconds=SHARED.pubsub.lease_seconds,
            pushConfig={"pushEndpoint": endpoints.dead_letters},
        )
        subscribe(
            names.events_push_subscription,
            names.events_topic,
            ackDeadlineSeconds=SHARED.pubsub.lease_seconds,
            pushConfig={"pushEndpoint": endpoints.events},
            # Without a retry policy the emulator repeats a push after a second; with one it stops
            # after a few attempts.
        )


def provision_bucket(url: str, names: ResourceNames) -> None:
    """Create the images bucket. Raises ProvisioningError."""
    _create("POST", f"{url}/storage/v1/b?project={names.project_id}", {"name": names.images_bucket})


def _create(method: str, url: str, content: Mapping[str, object]) -> None:
    try:
        response = send(url, method=method, content=content, timeout_seconds=20)
    except OSError as error:
        raise ProvisioningError(f"{url} does not respond: {error}") from error
    if response.status not in (HTTPStatus.OK, HTTPStatus.CONFLICT):  # CONFLICT: it exists
        raise ProvisioningError(f"{url} returned {response.status}: {response.text[:2000]}")
