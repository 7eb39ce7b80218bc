"""Webhooks from end to end: a real API, Pub/Sub's emulator, an external receiver, the Standard
Webhooks library.
"""

from typing import Any

import pytest

from tests.fakes.webhook_receiver import WebhookReceiver
from tests.system.conftest import StartSystem, System

pytestmark = pytest.mark.end_to_end
PROMPT = "a large green triangle on a white background"


@pytest.fixture
def quiet(start_system: StartSystem) -> System:
    """A system without workers: its tasks only end by cancellation."""
    return start_system(workers=0)


def cancelled_task(system: System, callback_url: str) -> str:
    """Submit a task, cancel it, and return its id."""
    task_id = system.client.submit(PROMPT, callback_url=callback_url)
    system.client.http.post(f"/v1/tasks/{task_id}/cancel").raise_for_status()
    return task_id


def types_of(receiver: WebhookReceiver) -> set[str]:
    """Return the types of the events that the receiver has accepted."""
    return {str(event["type"]) for event in receiver.taken.values()}


def log_of(system: System, task_id: str) -> dict[str, Any]:
    log: dict[str, Any] = (
        system.client.http.get(f"/v1/tasks/{task_id}/webhook-deliveries").raise_for_status().json()
    )
    return log


def test_webhook_receives_start_progress_and_final_events(
    system: System,
) -> None:
    everything = ["started", "progress", "finished"]
    # Outdated events are not sent: the task must not end before its first event was delivered.
    with WebhookReceiver(system.client.webhook_secrets()) as receiver, system.held_engine():
        task_id = system.client.submit(
            PROMPT, steps=100, callback_url=receiver.url, callback_events=everything
        )
        on_the_way = {"task.started", "task.progress"}
        assert receiver.wait_until(lambda: on_the_way <= types_of(receiver), timeout_seconds=120)
        system.client.http.post(f"/v1/tasks/{task_id}/cancel").raise_for_status()
        assert receiver.wait_until(lambda: "task.cancelled" in types_of(receiver), timeout_seconds=120)
        events = sorted(receiver.taken.values(), key=lambda one: str(one["timestamp"]))
    assert {one["data"]["id"] for one in events} == {task_id}
    assert [events[0]["type"], events[-1]["type"]] == ["task.started", "task.cancelled"]
    assert (events[0]["data"]["status"], events[-1]["data"]["status"]) == ("processing", "cancelled")


def test_webhook_is_retried_until_accepted_and_replayed_on_demand(
    quiet: System,
) -> None:
    answers = {1: 500, 2: 301, 3: 0}
    with WebhookReceiver(
        quiet.client.webhook_secrets(), lambda _id, arrival: answers.get(arrival, 204)
    ) as receiver:
        task_id = cancelled_task(quiet, receiver.url)
        assert receiver.wait_until(lambda: bool(receiver.taken), timeout_seconds=120)
        ((event_id, event),) = receiver.taken.items()
        assert (event["type"], event["data"]["id"]) == ("task.cancelled", task_id)

        path = f"/v1/tasks/{task_id}/webhook-deliveries/1/replay"
        receiver.status = lambda _id, _arrival: 410
        assert quiet.client.http.post(path).status_code == 202
        assert receiver.wait_until(lambda: receiver.arrivals[event_id] == 5)
        assert receiver.forged == 0

    (delivery,) = log_of(quiet, task_id)["deliveries"]
    assert (delivery["event_id"], delivery["url"]) == (event_id, receiver.url)
    assert [one["status"] for one in delivery["tries"]][:4] == [500, 301, None, 204]
