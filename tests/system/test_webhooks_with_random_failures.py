"""Many events and a receiver that fails at 30 % of the requests: each event arrives, and the log
matches.
"""

import random
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.grpc_channels import publisher_client
from common.adapters.pubsub_event_publisher import PubSubEventPublisher
from common.adapters.pubsub_topic import PubSubTopic
from common.domain.task import Task
from common.wire_formats.task_event import ending_of
from frontend_api.record_seal import RecordSeal
from frontend_api.webhooks.callback_seal import CallbackSeal
from tests.chaos.waiting import wait_for
from tests.factories import NOW, submitted_task
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.system.conftest import StartSystem, System

pytestmark = pytest.mark.end_to_end
SEED = 20_261_120
FAILING_SHARE = 0.3
FAILURES = (500, 503, 429, 404, 302, 0)
DEADLINE_SECONDS = 240.0


def answered(event_id: str, arrival: int) -> int:
    """Return the status for an event's nth arrival: pseudo-random, but the same for each call."""
    dice = random.Random(f"{SEED}/{event_id}/{arrival}")
    return dice.choice(FAILURES) if dice.random() < FAILING_SHARE else 204


def deliveries_of(system: System, task: Task) -> list[dict[str, Any]]:
    """Return the task's delivery log."""
    answer = system.client.http.get(f"/v1/tasks/{task.id}/webhook-deliveries").raise_for_status()
    deliveries: list[dict[str, Any]] = answer.json()["deliveries"]
    return deliveries


def is_delivered(system: System, task: Task) -> bool:
    return [delivery["state"] for delivery in deliveries_of(system, task)] == ["delivered"]


def ended_tasks(system: System, count: int, callback_url: str) -> list[Task]:
    """Store this many finished tasks, and publish an event for each."""
    environment = system.stack.environment
    project = environment["DARKROOM_PROJECT_ID"]
    firestore = firestore_client(project, emulator_host=environment["FIRESTORE_EMULATOR_HOST"])
    store = FirestoreTaskStore(firestore, timeout_seconds=60)
    publisher = publisher_client(emulator_host=environment["PUBSUB_EMULATOR_HOST"])
    events = PubSubEventPublisher(
        PubSubTopic(publisher, project, environment["DARKROOM_EVENTS_TOPIC"], timeout_seconds=60)
    )
    seal = CallbackSeal(RecordSeal.derived_from(environment["DARKROOM_WEBHOOK_KEY"].encode()))
    tasks = []
    for number in range(count):
        submitted = submitted_task(
            task_id=f"told-{number:04}",
            user_id="local",
            now=NOW,
            keep_for=timedelta(days=36_500),
            callback_url=callback_url,
        )
        # A fixed timestamp: the event's id depends on it, and the pseudo-random status on the id.
        tasks.append(store.create(seal.on(submitted).cancelled(NOW + timedelta(seconds=1))))
        events.publish(tasks[-1])
    firestore.close()
    return tasks


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.chaos_long)])
def test_random_failures_lose_no_event_and_log_every_attempt(start_system: StartSystem, count: int) -> None:
    # A long timeout for the emulator: an attempt that Firestore fails to record is repeated, and
    # this test counts attempts.
    system = start_system(workers=0, extra_environment={"DARKROOM_STORE_TIMEOUT_SECONDS": "30"})
    with WebhookReceiver(system.client.webhook_secrets(), answered) as receiver:
        tasks = ended_tasks(system, count, receiver.url)
        assert receiver.wait_until(lambda: len(receiver.taken) == count, timeout_seconds=DEADLINE_SECONDS)
        for task in tasks:  # their last attempts may not be in the log yet
            delivered = partial(is_delivered, system, task)
            wait_for(delivered, f"the log of {task.id}", timeout_seconds=DEADLINE_SECONDS)
        assert receiver.forged == 0
        assert set(receiver.taken) == {ending_of(task).id for task in tasks}

    statuses: Counter[int | None] = Counter()
    for task in tasks:
        (delivery,), event_id = deliveries_of(system, task), ending_of(task).id
        logged = [one["status"] for one in delivery["tries"]]
        expected = [answered(event_id, arrival) or None for arrival in range(1, len(logged) + 1)]
        assert (delivery["event_id"], delivery["state"], logged) == (event_id, "delivered", expected)
        assert delivery["tries_made"] == len(logged) == receiver.arrivals[event_id]
        assert all((one["error"] is None) == (one["status"] is not None) for one in delivery["tries"])
        statuses.update(logged)
    failed = statuses.total() - statuses[204]
    assert statuses[204] == count
    assert 0.2 < failed / statuses.total() < 0.4
