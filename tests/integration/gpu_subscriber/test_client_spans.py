"""The spans of Google's client for a delivery, whatever its outcome; and the setting that enables
them.
"""

import threading
from collections import Counter
from dataclasses import dataclass

import pytest
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message
from google.cloud.pubsub_v1.types import FlowControl
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from gpu_subscriber.adapters.pubsub_deliveries import PubSubDeliveries
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from gpu_subscriber.ports import Delivery, DeliveryStream, Settlement
from tests.emulators import Emulators
from tests.fakes.own_resources import OwnResources
from tests.recorded_telemetry import RecordedSpans

pytestmark = pytest.mark.emulator
PATIENCE_SECONDS = 20.0
TRACE, SENDER = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
CARRIED = {"model": "demo", "googclient_traceparent": f"00-{TRACE:032x}-{SENDER:016x}-01"}
SUBSCRIPTION = "darkroom-tasks-demo"
SUBSCRIBE, PROCESS = f"{SUBSCRIPTION} subscribe", f"{SUBSCRIPTION} process"
OF_A_DELIVERY = {SUBSCRIBE, PROCESS, "subscriber scheduler", "subscriber concurrency control"}
SHORTEST_LEASE_SECONDS = 10


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> RecordedSpans:
    return RecordedSpans(monkeypatch)


@dataclass(frozen=True, slots=True)
class Pulling:
    """A project of its own and a client that pulls from it."""

    own: OwnResources
    client: SubscriberClient

    def publish(self, *bodies: bytes) -> None:
        for body in bodies:
            self.own.publish(self.own.names.tasks_topic, body, CARRIED)

    @property
    def deliveries(self) -> PubSubDeliveries:
        return PubSubDeliveries(
            self.client,
            self.own.names.project_id,
            SUBSCRIPTION,
            lease_seconds=SHORTEST_LEASE_SECONDS,
            attempt_timeout_seconds=60,
        )


@pytest.fixture
def pulling(emulators: Emulators) -> Pulling:
    client = subscriber_client(emulator_host=emulators.pubsub_host, makes_spans=True)
    return Pulling(OwnResources(emulators), client)


def end(stream: DeliveryStream) -> None:
    stream.close()
    assert stream.wait_until_ended(PATIENCE_SECONDS)


def result_of(span: ReadableSpan) -> object:
    return dict(span.attributes or {})["messaging.gcp_pubsub.result"]


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")]


def test_each_delivery_is_told_in_the_trace_of_its_message_with_what_became_of_it(
    pulling: Pulling, spans: RecordedSpans, caplog: pytest.LogCaptureFixture
) -> None:
    settlements = iter((Settlement.RETURN, Settlement.ACKNOWLEDGE))
    came = threading.Semaphore(0)

    def process(_delivery: Delivery) -> Settlement:
        came.release()
        return next(settlements)

    pulling.publish(b"one")
    stream = pulling.deliveries.open(process, slots=1, on_end=lambda: None)
    assert all(came.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))
    end(stream)

    told = [span for span in spans.all if span.context.trace_id == TRACE]
    assert Counter(span.name for span in told) == dict.fromkeys(OF_A_DELIVERY, 2)
    deliveries = [span for span in told if span.name == SUBSCRIBE]
    assert [result_of(span) for span in deliveries] == ["nacked", "acked"]
    assert {span.kind for span in deliveries} == {SpanKind.CONSUMER}
    assert {span.parent.span_id for span in deliveries if span.parent} == {SENDER}
    assert spans.begun == Counter(span.name for span in spans.all), "none is left open"
    assert complaints(caplog) == []


def test_a_lease_extension_is_a_call_that_is_linked_to_the_deliveries_it_was_for(
    pulling: Pulling, spans: RecordedSpans
) -> None:
    def extensions() -> list[ReadableSpan]:
        calls = (span for span in spans.all if span.name == f"{SUBSCRIPTION} modack")
        return [
            call
            for call in calls
            if not dict(call.attributes or {})["messaging.gcp_pubsub.is_receipt_modack"]
        ]

    def process(_delivery: Delivery) -> Settlement:
        assert spans.wait_until(lambda: bool(extensions()), timeout_seconds=PATIENCE_SECONDS)
        return Settlement.ACKNOWLEDGE

    pulling.publish(b"one")
    stream = pulling.deliveries.open(process, slots=1, on_end=lambda: None)
    acknowledged = spans.wait_until(
        lambda: any(span.name == SUBSCRIBE for span in spans.all), timeout_seconds=2 * PATIENCE_SECONDS
    )
    end(stream)

    assert acknowledged
    delivery, extension = spans.one(SUBSCRIBE), extensions()[0]
    assert [link.context.span_id for link in extension.links] == [delivery.context.span_id]
    assert extension.context.span_id in [link.context.span_id for link in delivery.links]
    assert "modack start" in [event.name for event in delivery.events]


def test_a_delivery_that_the_client_held_back_is_returned_and_told_when_the_stream_is_closed(
    pulling: Pulling, spans: RecordedSpans, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()

    def acknowledge(message: Message) -> None:
        assert go_on.wait(PATIENCE_SECONDS)
        message.ack()

    pulling.publish(b"one", b"two")
    future = pulling.client.subscribe(
        pulling.client.subscription_path(pulling.own.names.project_id, SUBSCRIPTION),
        callback=acknowledge,
        flow_control=FlowControl(max_messages=1),
        use_legacy_flow_control=True,  # the server sends both messages, and the client holds one back
        await_callbacks_on_shutdown=True,
    )
    both_came = spans.wait_until(
        lambda: spans.begun["subscriber scheduler"] == 2, timeout_seconds=PATIENCE_SECONDS
    )
    future.cancel()
    go_on.set()
    future.result(PATIENCE_SECONDS)

    assert both_came
    results = [result_of(span) for span in spans.all if span.name == SUBSCRIBE]
    assert sorted(map(str, results)) == ["acked", "nacked"]
    assert spans.begun[PROCESS] == 1
    assert spans.begun == Counter(span.name for span in spans.all), "none is left open"
    assert complaints(caplog) == []


def test_a_client_that_is_not_asked_to_makes_no_spans(emulators: Emulators, spans: RecordedSpans) -> None:
    pulling = Pulling(OwnResources(emulators), subscriber_client(emulator_host=emulators.pubsub_host))
    came = threading.Event()

    def process(_delivery: Delivery) -> Settlement:
        came.set()
        return Settlement.ACKNOWLEDGE

    pulling.publish(b"one")
    stream = pulling.deliveries.open(process, slots=1, on_end=lambda: None)
    assert came.wait(PATIENCE_SECONDS)
    end(stream)
    assert not spans.begun
