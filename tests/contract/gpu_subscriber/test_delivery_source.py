"""The DeliverySource's contract, on the fake and on Pub/Sub's emulator."""

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from gpu_subscriber.adapters.pubsub_deliveries import PubSubDeliveries
from gpu_subscriber.ports import Delivery, DeliverySource, DeliveryStream, Settlement
from tests.fakes.fake_delivery_source import FakeDeliverySource
from tests.fakes.own_resources import OwnResources

PATIENCE_SECONDS = 60.0


class Processing:
    """A `process` that records each delivery and blocks until the test releases it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, delivery: Delivery) -> Settlement:
        self.bodies.append(delivery.body)
        self.arrived.release()
        assert self.go_on.wait(PATIENCE_SECONDS)
        return Settlement.ACKNOWLEDGE

    def wait_for(self, count: int) -> bool:
        return all(self.arrived.acquire(timeout=PATIENCE_SECONDS) for _ in range(count))


class Setting:
    """A source, a function to deliver a message, and a function to delete its subscription."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.processing = Processing()
        self.ends = threading.Semaphore(0)
        self._streams: list[DeliveryStream] = []
        self.deliver: Callable[[bytes], object]
        self.lose_subscription: Callable[[], None]
        if request.param == "fake":
            fake = FakeDeliverySource()
            self.source: DeliverySource = fake
            self.deliver = lambda body: fake.stream(0).deliver(Delivery(message_id="m", body=body))
            self.lose_subscription = fake.lose_subscription
        else:
            own = OwnResources(request.getfixturevalue("emulators"))
            names = own.names
            self.source = PubSubDeliveries(
                own.subscriber,
                names.project_id,
                names.tasks_subscription("demo"),
                lease_seconds=60,
                attempt_timeout_seconds=60,
            )
            self.deliver = lambda body: own.publish(names.tasks_topic, body, {"model": "demo"})
            self.lose_subscription = own.unsubscribe_from_tasks

    def open(self, *, slots: int) -> DeliveryStream:
        stream = self.source.open(self.processing, slots=slots, on_end=self.ends.release)
        self._streams.append(stream)
        return stream

    def leave(self) -> None:
        self.processing.go_on.set()
        for stream in self._streams:
            stream.close()
            stream.wait_until_ended(PATIENCE_SECONDS)


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    setting = Setting(request)
    yield setting
    setting.leave()


def test_deliveries_run_concurrently_up_to_the_slots(setting: Setting) -> None:
    setting.open(slots=2)
    for body in (b"one", b"two", b"three"):
        setting.deliver(body)
    assert setting.processing.wait_for(2)
    assert len(setting.processing.bodies) == 2
    setting.processing.go_on.set()
    assert setting.processing.wait_for(1)
    assert sorted(setting.processing.bodies) == [b"one", b"three", b"two"]


def test_close_lets_running_deliveries_finish(setting: Setting) -> None:
    stream = setting.open(slots=1)
    setting.deliver(b"one")
    assert setting.processing.wait_for(1)

    stream.close()

    assert not stream.is_open
    assert not stream.wait_until_ended(0.05)
    setting.processing.go_on.set()
    assert stream.wait_until_ended(PATIENCE_SECONDS)
    assert setting.ends.acquire(timeout=PATIENCE_SECONDS)
    assert stream.ended_because is None


def test_broken_stream_ends_and_reports_the_reason(setting: Setting) -> None:
    setting.lose_subscription()
    stream = setting.open(slots=1)
    assert setting.ends.acquire(timeout=PATIENCE_SECONDS)
    assert not stream.is_open
    assert "NotFound" in str(stream.ended_because)


@pytest.mark.parametrize("setting", [pytest.param("emulator", marks=pytest.mark.emulator)], indirect=True)
def test_only_the_first_delivery_of_a_message_is_counted_as_first(setting: Setting) -> None:
    """The fake counts no deliveries."""
    deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()

    def return_once(delivery: Delivery) -> Settlement:
        deliveries.put(delivery)
        return Settlement.RETURN if delivery.is_first else Settlement.ACKNOWLEDGE

    stream = setting.source.open(return_once, slots=1, on_end=setting.ends.release)
    try:
        setting.deliver(b"one")
        found = [deliveries.get(timeout=PATIENCE_SECONDS) for _ in range(2)]
    finally:
        stream.close()
        stream.wait_until_ended(PATIENCE_SECONDS)
    assert [delivery.is_first for delivery in found] == [True, False]
    assert len({delivery.message_id for delivery in found}) == 1
