"""The behaviour that the proxy adds to the Pub/Sub emulator, tested with Google's own client."""

import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message
from google.pubsub_v1 import types

from tests.emulators import Emulators

pytestmark = pytest.mark.emulator

TIMEOUT_SECONDS = 60


@dataclass
class Desk:
    """A topic per test, and clients for it."""

    project_id: str
    address: str
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient
    topic: str = ""
    streams: list[Any] = field(default_factory=list)

    def name(self, kind: str) -> str:
        return f"projects/{self.project_id}/{kind}/test-{uuid.uuid4().hex}"

    def new_topic(self) -> str:
        topic = self.name("topics")
        self.publisher.create_topic(name=topic)
        return topic

    def subscription(self, topic: str = "", **settings: Any) -> str:
        name = self.name("subscriptions")
        request = {"name": name, "topic": topic or self.topic, "ack_deadline_seconds": 60, **settings}
        self.subscriber.create_subscription(request=request)
        return name

    def publish(self, *bodies: bytes, **attributes: str) -> None:
        sent: list[Future[str]] = [self.publisher.publish(self.topic, body, **attributes) for body in bodies]
        for one in sent:
            one.result(TIMEOUT_SECONDS)

    def listen(self, subscription: str, callback: Callable[[Message], None], max_messages: int = 1) -> Any:
        flow = pubsub_v1.types.FlowControl(max_messages=max_messages)
        stream = self.subscriber.subscribe(subscription, callback, flow_control=flow)
        self.streams.append(stream)
        return stream

    def pull_now(self, subscription: str) -> list[bytes]:
        pulled = self.subscriber.pull(
            request={"subscription": subscription, "max_messages": 10, "return_immediately": True}
        )
        return [one.message.data for one in pulled.received_messages]


@pytest.fixture
def desk(emulators: Emulators) -> Iterator[Desk]:
    with pubsub_v1.SubscriberClient() as subscriber:
        publisher = pubsub_v1.PublisherClient()
        desk = Desk(emulators.names.project_id, emulators.pubsub_host, publisher, subscriber)
        desk.topic = desk.new_topic()
        yield desk
        for stream in desk.streams:
            stream.cancel()
        publisher.stop()


class Inbox:
    """A callback that records messages. It acknowledges each one once `release` is set."""

    def __init__(self, *, holds: bool = False) -> None:
        self.received: SimpleQueue[Message] = SimpleQueue()
        self.release = threading.Event()
        if not holds:
            self.release.set()

    def __call__(self, message: Message) -> None:
        self.received.put(message)
        self.release.wait(TIMEOUT_SECONDS)
        message.ack()

    def bodies(self, count: int) -> list[bytes]:
        return [self.received.get(timeout=TIMEOUT_SECONDS).data for _ in range(count)]

    def is_empty(self) -> bool:
        return self.received.empty()


def test_busy_stream_leaves_messages_to_others(desk: Desk) -> None:
    subscription = desk.subscription()
    busy, other = Inbox(holds=True), Inbox()
    desk.listen(subscription, busy)
    desk.publish(b"1")
    assert busy.bodies(1) == [b"1"]
    desk.publish(b"2", b"3", b"4")
    desk.listen(subscription, other)
    assert sorted(other.bodies(3)) == [b"2", b"3", b"4"]
    assert busy.is_empty()
    busy.release.set()


def test_flow_control_honors_the_clients_settings(desk: Desk) -> None:
    subscription = desk.subscription()
    inbox = Inbox(holds=True)
    desk.listen(subscription, inbox, max_messages=3)
    desk.publish(*(str(n).encode() for n in range(5)))
    assert len(inbox.bodies(3)) == 3
    assert len(desk.pull_now(subscription)) == 2
    inbox.release.set()


def test_message_arrives_soon_after_its_publication(desk: Desk) -> None:
    subscription = desk.subscription()
    inbox = Inbox()
    desk.listen(subscription, inbox)
    desk.publish(b"first")
    inbox.bodies(1)

    def seconds_until_the_next_arrives() -> float:
        started = time.monotonic()
        desk.publish(b"next")
        inbox.bodies(1)
        return time.monotonic() - started

    # One of many, because a busy machine delays some of them.
    assert any(seconds_until_the_next_arrives() < 0.2 for _ in range(100))


def test_cancelled_stream_leases_nothing(desk: Desk) -> None:
    subscription = desk.subscription()
    gone, fresh = Inbox(), Inbox()
    stream = desk.listen(subscription, gone, max_messages=10)
    desk.publish(b"before")
    gone.bodies(1)
    stream.cancel()
    stream.result(TIMEOUT_SECONDS)
    desk.publish(*(str(n).encode() for n in range(20)))
    desk.listen(subscription, fresh, max_messages=10)
    assert len(fresh.bodies(20)) == 20


def test_killed_subscriber_leases_nothing(desk: Desk) -> None:
    subscription = desk.subscription()
    source = """
        import sys
        from google.cloud import pubsub_v1
        def callback(message):
            message.ack_with_response().result()
            print("acknowledged", flush=True)
        pubsub_v1.SubscriberClient().subscribe(sys.argv[1], callback).result()
    """
    command = [sys.executable, "-c", textwrap.dedent(source), subscription]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as victim:
        assert victim.stdout is not None
        desk.publish(b"before")
        assert victim.stdout.readline() == b"acknowledged\n"
        victim.kill()
        victim.wait()
    desk.publish(*(str(n).encode() for n in range(20)))
    fresh = Inbox()
    desk.listen(subscription, fresh, max_messages=10)
    assert len(fresh.bodies(20)) == 20


def test_unseen_messages_are_redelivered_at_once(desk: Desk) -> None:
    """A stream may end with deliveries in its buffers, which were leased for a minute."""
    subscription = desk.subscription()
    with grpc.insecure_channel(desk.address) as channel:
        open_stream = channel.stream_stream(
            "/google.pubsub.v1.Subscriber/StreamingPull",
            types.StreamingPullRequest.serialize,
            types.StreamingPullResponse.deserialize,
        )
        first = types.StreamingPullRequest(
            subscription=subscription, stream_ack_deadline_seconds=60, max_outstanding_messages=10
        )
        requests: SimpleQueue[types.StreamingPullRequest] = SimpleQueue()
        requests.put(first)
        stream = open_stream(iter(requests.get, None))
        desk.publish(b"lost?")
        assert next(stream).received_messages[0].message.data == b"lost?"
        stream.cancel()
    inbox = Inbox()
    desk.listen(subscription, inbox)
    assert inbox.bodies(1) == [b"lost?"]


def test_stream_honors_the_filter(desk: Desk) -> None:
    subscription = desk.subscription(filter='attributes.model = "demo"')
    inbox = Inbox()
    desk.listen(subscription, inbox, max_messages=10)
    desk.publish(b"other", model="other")
    desk.publish(b"none")
    desk.publish(b"mine", model="demo")
    assert inbox.bodies(1) == [b"mine"]
    assert inbox.is_empty()


def test_unary_pull_honors_the_filter(desk: Desk) -> None:
    subscription = desk.subscription(filter='NOT (attributes.lane = "batch")')
    desk.publish(b"other", lane="batch")
    desk.publish(b"mine")
    assert desk.pull_now(subscription) == [b"mine"]


def test_subscription_is_rejected_for_an_invalid_filter(desk: Desk) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="Invalid filter"):
        desk.subscription(filter="model is demo")


def test_returned_message_is_redelivered_and_then_dead_lettered(desk: Desk) -> None:
    dead_letters = desk.new_topic()
    archive = desk.subscription(dead_letters)
    policy = {"dead_letter_topic": dead_letters, "max_delivery_attempts": 5}
    subscription = desk.subscription(dead_letter_policy=policy)
    attempts: SimpleQueue[int] = SimpleQueue()

    def refuse(message: Message) -> None:
        attempts.put(message.delivery_attempt or 0)
        message.nack()

    inbox = Inbox()
    desk.listen(archive, inbox)
    desk.listen(subscription, refuse)
    desk.publish(b"poison", model="demo")
    dead = inbox.received.get(timeout=TIMEOUT_SECONDS)
    assert dead.data == b"poison"
    assert dead.attributes["model"] == "demo"
    assert dead.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert [attempts.get() for _ in range(attempts.qsize())] == [1, 2, 3, 4, 5]


def test_repeatedly_returned_messages_are_not_lost(desk: Desk) -> None:
    policy = {"dead_letter_topic": desk.new_topic(), "max_delivery_attempts": 100}
    subscription = desk.subscription(dead_letter_policy=policy)
    bodies = {str(number).encode() for number in range(300)}
    taken: SimpleQueue[bytes] = SimpleQueue()

    def acknowledge_the_fourth_time(message: Message) -> None:
        if (message.delivery_attempt or 0) < 4:
            message.nack()
        else:
            message.ack()
            taken.put(message.data)

    for _ in range(2):
        desk.listen(subscription, acknowledge_the_fourth_time, max_messages=20)
    desk.publish(*bodies)
    assert {taken.get(timeout=TIMEOUT_SECONDS) for _ in bodies} == bodies


def test_errors_of_the_emulator_are_passed_through(desk: Desk) -> None:
    with pytest.raises(exceptions.AlreadyExists):
        desk.publisher.create_topic(name=desk.topic)
    with pytest.raises(exceptions.NotFound):
        desk.publisher.publish(desk.name("topics"), b"x").result(TIMEOUT_SECONDS)
    stream = desk.subscriber.subscribe(desk.name("subscriptions"), lambda _: None)
    assert isinstance(stream.exception(TIMEOUT_SECONDS), exceptions.NotFound)
