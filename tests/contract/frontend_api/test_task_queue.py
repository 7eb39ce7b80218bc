"""The TaskQueue's contract, on the fake and on Pub/Sub's emulator."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc
import pytest
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PubsubMessage

from common.adapters.grpc_channels import publisher_client
from common.domain.errors import DependencyUnavailableError
from common.domain.task import Lane, Task
from common.wire_formats.task_message import decode_task_message
from frontend_api.adapters.pubsub_task_queue import PubSubTaskQueue
from frontend_api.tasks.ports import TaskQueue
from local_stack.loopback import free_port
from tests.emulators import Emulators
from tests.factories import parameters, submitted_task
from tests.fakes.in_memory_task_queue import InMemoryTaskQueue
from tests.recorded_telemetry import RecordedSpans

PROJECT = "demo-queue"


@dataclass
class Arranged:
    """A queue, and the ids of the tasks delivered so far."""

    queue: TaskQueue
    published: Callable[[], list[str]]
    broken: TaskQueue


def emulated(
    host: str, topic: str, *, timeout_seconds: float = 20, pools: Mapping[str, str] | None = None
) -> PubSubTaskQueue:
    return PubSubTaskQueue(
        publisher_client(emulator_host=host),
        project_id=PROJECT,
        topic=topic,
        images_bucket="images",
        timeout_seconds=timeout_seconds,
        pools=pools,
    )


@pytest.fixture
def subscriber(emulators: Emulators) -> SubscriberClient:
    channel = grpc.insecure_channel(emulators.pubsub_host)
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


@pytest.fixture
def topic(emulators: Emulators, subscriber: SubscriberClient) -> str:
    """A topic per test, with a subscription of the same name."""
    name = f"tasks-{uuid.uuid4().hex}"
    path = f"projects/{PROJECT}/topics/{name}"
    publisher_client(emulator_host=emulators.pubsub_host).create_topic(name=path)
    subscriber.create_subscription(name=subscriber.subscription_path(PROJECT, name), topic=path)
    return name


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def arranged(request: pytest.FixtureRequest) -> Arranged:
    if request.param == "fake":
        queue, broken = InMemoryTaskQueue(), InMemoryTaskQueue()
        broken.unavailable = True
        return Arranged(queue, lambda: [task.id for task in queue.published], broken)
    emulators: Emulators = request.getfixturevalue("emulators")
    topic: str = request.getfixturevalue("topic")
    subscriber: SubscriberClient = request.getfixturevalue("subscriber")

    def pulled() -> list[str]:
        return [decode_task_message(message.data).task_id for message in received(subscriber, topic)]

    unreachable = emulated(f"127.0.0.1:{free_port()}", topic, timeout_seconds=1)
    return Arranged(emulated(emulators.pubsub_host, topic), pulled, unreachable)


def received(subscriber: SubscriberClient, topic: str) -> list[PubsubMessage]:
    subscription = subscriber.subscription_path(PROJECT, topic)
    response = subscriber.pull(subscription=subscription, max_messages=10, timeout=60)
    return [message.message for message in response.received_messages]


def task() -> Task:
    return submitted_task(task_id=uuid.uuid4().hex, lane=Lane.BATCH)


def test_published_messages_have_arrived(arranged: Arranged) -> None:
    published = task()
    arranged.queue.publish(published)
    assert arranged.published() == [published.id]


def test_task_can_be_published_twice(arranged: Arranged) -> None:
    published = task()
    arranged.queue.publish(published)
    arranged.queue.publish(published)
    assert set(arranged.published()) == {published.id}


def test_queue_raises_within_seconds_when_unreachable(arranged: Arranged) -> None:
    with pytest.raises(DependencyUnavailableError):
        arranged.broken.publish(task())


@pytest.mark.emulator
def test_missing_topic_raises_dependency_unavailable(emulators: Emulators) -> None:
    with pytest.raises(DependencyUnavailableError):
        emulated(emulators.pubsub_host, "no-such-topic").publish(task())


@pytest.mark.emulator
def test_message_has_the_attributes_that_subscriptions_filter_on(
    emulators: Emulators, topic: str, subscriber: SubscriberClient
) -> None:
    published = task()
    emulated(emulators.pubsub_host, topic).publish(published)
    (message,) = received(subscriber, topic)
    attributes = dict(message.attributes)
    assert (attributes["model"], attributes["lane"]) == ("demo", "batch")
    decoded = decode_task_message(message.data)
    assert (decoded.parameters, decoded.result_bucket) == (published.parameters, "images")


@pytest.mark.emulator
def test_pool_subscription_gets_models_added_later_and_no_other_pools(
    emulators: Emulators, topic: str, subscriber: SubscriberClient
) -> None:
    subscriber.create_subscription(
        request={
            "name": subscriber.subscription_path(PROJECT, f"{topic}-large"),
            "topic": f"projects/{PROJECT}/topics/{topic}",
            "filter": 'attributes.pool = "large"',
        }
    )
    before, added, elsewhere = (
        submitted_task(task_id=uuid.uuid4().hex, parameters=parameters().model_copy(update={"model": model}))
        for model in ("sdxl", "flux", "demo")
    )
    emulated(emulators.pubsub_host, topic, pools={"sdxl": "large"}).publish(before)
    emulated(emulators.pubsub_host, topic, pools={"sdxl": "large", "flux": "large"}).publish(elsewhere, added)

    delivered: list[str] = []
    while len(delivered) < 2:
        delivered += [message.attributes["task_id"] for message in received(subscriber, f"{topic}-large")]

    assert sorted(delivered) == sorted([before.id, added.id])


@pytest.mark.emulator
def test_message_carries_the_trace_context_of_its_span(
    emulators: Emulators, topic: str, subscriber: SubscriberClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = RecordedSpans(monkeypatch)
    emulated(emulators.pubsub_host, topic).publish(task())
    sent = spans.one(f"send {topic}").context
    (message,) = received(subscriber, topic)
    assert message.attributes["traceparent"].startswith(f"00-{sent.trace_id:032x}-{sent.span_id:016x}-")
