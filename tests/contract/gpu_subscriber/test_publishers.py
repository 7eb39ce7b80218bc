"""EventPublisher and DeadLetters, on the fakes and on Pub/Sub's emulator: subscribers can decode
the messages.
"""

from datetime import timedelta

import pytest

from common.adapters.pubsub_event_publisher import PubSubEventPublisher
from common.adapters.pubsub_topic import PubSubTopic
from common.domain.task import Task
from common.ports import EventPublisher
from common.wire_formats.task_event import TaskEvent, decode_task_event, ending_of
from gpu_subscriber.adapters.pubsub_dead_letters import PubSubDeadLetters
from gpu_subscriber.ports import DeadLetters, Delivery
from tests.factories import NOW, submitted_task
from tests.fakes.own_resources import OwnResources
from tests.fakes.recording_publishers import RecordingDeadLetters, RecordingEventPublisher


class Published:
    """Both publishers, and the received messages."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.own: OwnResources | None = None
        if request.param == "fake":
            self._events, self._letters = RecordingEventPublisher(), RecordingDeadLetters()
            self.events: EventPublisher = self._events
            self.dead_letters: DeadLetters = self._letters
            return
        self.own = OwnResources(request.getfixturevalue("emulators"))
        names = self.own.names
        self.events = PubSubEventPublisher(
            PubSubTopic(self.own.publisher, names.project_id, names.events_topic)
        )
        self.dead_letters = PubSubDeadLetters(
            PubSubTopic(self.own.publisher, names.project_id, names.dead_letter_topic), subscription="tasks"
        )

    def read_events(self, count: int) -> list[TaskEvent]:
        if self.own is None:
            return self._events.events
        messages = self.own.pull(self.own.names.events_subscription, count=count)
        assert all(message.attributes["event_id"] for message in messages)
        return [decode_task_event(message.body) for message in messages]

    def read_dead_letter(self) -> tuple[bytes, str, dict[str, str]]:
        if self.own is None:
            [(delivery, reason)] = self._letters.published
            return delivery.body, reason, dict(delivery.attributes)
        [message] = self.own.pull(self.own.names.dead_letter_subscription)
        return message.body, message.attributes["dead_letter_reason"], message.attributes


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def published(request: pytest.FixtureRequest) -> Published:
    return Published(request)


def ended_task() -> Task:
    return submitted_task().cancelled(NOW)


def test_publisher_sends_the_final_event(published: Published) -> None:
    published.events.publish(ended_task())
    assert published.read_events(1) == [ending_of(ended_task())]


def test_final_event_has_the_same_id_when_repeated(published: Published) -> None:
    for _ in range(2):
        published.events.publish(ended_task())
    assert len({event.id for event in published.read_events(2)}) == 1


def test_publisher_sends_start_and_progress_events(published: Published) -> None:
    claimed = submitted_task().claimed_by("worker-1", NOW, timedelta(seconds=60))
    published.events.publish_start(claimed)
    published.events.publish_progress(claimed)
    events = published.read_events(2)
    assert {event.type for event in events} == {"task.started", "task.progress"}
    assert {(event.task_id, event.user_id, event.attempt) for event in events} == {(claimed.id, "ada", 1)}


def test_publish_fails_for_unfinished_task(published: Published) -> None:
    with pytest.raises(ValueError, match="has not ended"):
        published.events.publish(submitted_task())


def test_dead_letter_has_body_attributes_and_reason(published: Published) -> None:
    delivery = Delivery(message_id="m-1", body=b"\xff junk", attributes={"model": "demo"})
    published.dead_letters.publish(delivery, reason="body is not JSON")
    body, reason, attributes = published.read_dead_letter()
    assert (body, reason, attributes["model"]) == (b"\xff junk", "body is not JSON", "demo")
