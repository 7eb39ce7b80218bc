"""The event of every task that the API ends: published once stored, and retried until confirmed."""

from datetime import timedelta

import pytest

from common.domain.task import Task, TaskStatus
from common.wire_formats.task_event import ending_of
from common.wire_formats.task_message import encode_task_message
from tests.unit.frontend_api.conftest import Api
from tests.unit.frontend_api.dead_letters.test_routes import died, envelope, push


def published_events(api: Api) -> list[str]:
    """Return the ids of all events so far."""
    return [event.id for event in api.events.events]


def cancel(api: Api, task: Task) -> None:
    answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")


def test_cancel_publishes_the_final_event_once(api: Api) -> None:
    task = api.stored_task()
    cancel(api, task)
    stored = api.stored(task.id)
    assert [(event.type, event.task_id, event.user_id) for event in api.events.events] == [
        ("task.cancelled", task.id, "local")
    ]
    assert published_events(api) == [ending_of(stored).id]
    assert stored.event_pending_since is None
    cancel(api, task)
    assert len(published_events(api)) == 1


def test_cancel_leaves_the_final_event_to_the_worker_that_holds_the_task(api: Api) -> None:
    task = api.claimed_task()
    assert api.client.post(f"/v1/tasks/{task.id}/cancel").status_code == 202
    assert published_events(api) == []


def test_repeated_cancel_publishes_the_final_event_when_the_first_could_not(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 1
    cancel(api, task)
    assert (published_events(api), api.stored(task.id).event_pending_since) == ([], api.clock.now())
    api.clock.advance(5)
    cancel(api, task)
    assert published_events(api) == [ending_of(api.stored(task.id)).id]
    assert api.stored(task.id).event_pending_since is None


def test_rescue_publishes_only_final_events_that_are_overdue(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 1
    cancel(api, task)
    api.clock.advance(29)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 0
    api.clock.advance(2)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 1
    assert published_events(api) == [ending_of(api.stored(task.id)).id]
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 0


def test_rescue_publishes_the_final_event_of_each_abandoned_task(api: Api) -> None:
    api.stored_task(task_id="overdue", start_within=timedelta(seconds=10))
    api.claimed_task(task_id="used-up", attempts=1)
    api.clock.advance(200)
    assert api.rescue().get_json()["abandoned"] == 2
    assert {event.task_id for event in api.events.events} == {"overdue", "used-up"}
    assert {event.type for event in api.events.events} == {"task.failed"}
    assert all(task.event_pending_since is None for task in api.store.all_tasks)


def test_next_rescue_publishes_final_events_when_the_first_could_not(api: Api) -> None:
    for number in range(3):
        api.stored_task(task_id=f"overdue-{number}", start_within=timedelta(seconds=10))
    api.clock.advance(11)
    api.events.failures_left = 1
    assert api.rescue().status_code == 503
    assert {task.status for task in api.store.all_tasks} == {TaskStatus.FAILED}
    api.clock.advance(31)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 3
    assert sorted(published_events(api)) == sorted(ending_of(task).id for task in api.store.all_tasks)


def test_dead_letter_publishes_the_final_event_of_its_task(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    died(api, encode_task_message(task, result_bucket="images"))
    assert published_events(api) == [ending_of(api.stored(task.id)).id]


def test_repeated_dead_letter_publishes_a_pending_final_event(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    pushed = envelope(encode_task_message(task, result_bucket="images"), died_at=api.clock.now())
    api.events.failures_left = 1
    for _ in range(3):
        assert push(api, pushed).status_code == 204
    assert published_events(api) == [ending_of(api.stored(task.id)).id]


def test_delete_publishes_the_cancellation_of_a_queued_task(api: Api) -> None:
    task = api.stored_task()
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert [event.type for event in api.events.events] == ["task.cancelled"]
    assert not api.store.all_tasks


def test_retry_withdraws_a_pending_final_event(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 1
    cancel(api, task)
    assert api.client.post(f"/v1/tasks/{task.id}/retry").status_code == 202
    api.clock.advance(100)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 0
    assert published_events(api) == []


@pytest.mark.parametrize("pause", [0, 31])
def test_task_that_finishes_twice_the_same_way_publishes_two_events(api: Api, pause: int) -> None:
    task = api.stored_task()
    cancel(api, task)
    api.client.post(f"/v1/tasks/{task.id}/retry")
    api.clock.advance(1 + pause)
    cancel(api, task)
    assert len(set(published_events(api))) == 2


def test_late_confirmation_of_an_earlier_event_keeps_the_newer_one_pending(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 2
    cancel(api, task)
    earlier = api.stored(task.id)
    api.client.post(f"/v1/tasks/{task.id}/retry")
    api.clock.advance(1)
    cancel(api, task)
    api.dependencies.tasks.cancel.publish_final_event(earlier)
    assert api.stored(task.id).event_pending_since == api.clock.now()
