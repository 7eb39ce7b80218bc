"""The event of every task that the API ends: published once stored, and retried until confirmed."""

from datetime import timedelta

import pytest

from common.domain.task import Task, TaskStatus
from common.wire_formats.task_event import ending_of
from common.wire_formats.task_message import encode_task_message
from tests.unit.frontend_api.conftest import Api
from tests.unit.frontend_api.dead_letters.test_routes import died, envelope, push


def told(api: Api) -> list[str]:
    """Return the ids of all events so far."""
    return [event.id for event in api.events.events]


def cancel(api: Api, task: Task) -> None:
    answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")


def test_a_cancelled_task_is_told_of_once(api: Api) -> None:
    task = api.stored_task()
    cancel(api, task)
    stored = api.stored(task.id)
    assert [(event.type, event.task_id, event.user_id) for event in api.events.events] == [
        ("task.cancelled", task.id, "local")
    ]
    assert told(api) == [ending_of(stored).id]
    assert stored.event_pending_since is None
    cancel(api, task)
    assert len(told(api)) == 1


def test_a_worker_that_is_asked_to_stop_tells_the_ending_itself(api: Api) -> None:
    task = api.claimed_task()
    assert api.client.post(f"/v1/tasks/{task.id}/cancel").status_code == 202
    assert told(api) == []


def test_a_cancellation_stands_though_it_cannot_be_told_and_a_repeated_one_tells_it(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 1
    cancel(api, task)
    assert (told(api), api.stored(task.id).event_pending_since) == ([], api.clock.now())
    api.clock.advance(5)
    cancel(api, task)
    assert told(api) == [ending_of(api.stored(task.id)).id]
    assert api.stored(task.id).event_pending_since is None


def test_rescue_tells_what_nobody_told_and_leaves_the_young_to_those_who_are_at_it(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 1
    cancel(api, task)
    api.clock.advance(29)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 0
    api.clock.advance(2)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 1
    assert told(api) == [ending_of(api.stored(task.id)).id]
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 0


def test_rescue_tells_each_task_that_it_gives_up(api: Api) -> None:
    api.stored_task(task_id="overdue", start_within=timedelta(seconds=10))
    api.claimed_task(task_id="used-up", attempts=1)
    api.clock.advance(200)
    assert api.rescue().get_json()["abandoned"] == 2
    assert {event.task_id for event in api.events.events} == {"overdue", "used-up"}
    assert {event.type for event in api.events.events} == {"task.failed"}
    assert all(task.event_pending_since is None for task in api.store.all_tasks)


def test_a_rescue_that_cannot_tell_gives_up_all_the_same_and_the_next_one_tells(api: Api) -> None:
    for number in range(3):
        api.stored_task(task_id=f"overdue-{number}", start_within=timedelta(seconds=10))
    api.clock.advance(11)
    api.events.failures_left = 1
    assert api.rescue().status_code == 503
    assert {task.status for task in api.store.all_tasks} == {TaskStatus.FAILED}
    api.clock.advance(31)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 3
    assert sorted(told(api)) == sorted(ending_of(task).id for task in api.store.all_tasks)


def test_a_task_that_a_dead_letter_ends_is_told_of(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    died(api, encode_task_message(task, result_bucket="images"))
    assert told(api) == [ending_of(api.stored(task.id)).id]


def test_a_dead_letter_that_comes_again_tells_what_could_not_be_told(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    pushed = envelope(encode_task_message(task, result_bucket="images"), died_at=api.clock.now())
    api.events.failures_left = 1
    for _ in range(3):
        assert push(api, pushed).status_code == 204
    assert told(api) == [ending_of(api.stored(task.id)).id]


def test_a_waiting_task_that_is_deleted_is_told_of_as_cancelled(api: Api) -> None:
    task = api.stored_task()
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert [event.type for event in api.events.events] == ["task.cancelled"]
    assert not api.store.all_tasks


def test_a_retry_before_the_ending_was_told_takes_the_ending_back(api: Api) -> None:
    task = api.stored_task()
    api.events.failures_left = 1
    cancel(api, task)
    assert api.client.post(f"/v1/tasks/{task.id}/retry").status_code == 202
    api.clock.advance(100)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 0
    assert told(api) == []


@pytest.mark.parametrize("pause", [0, 31])
def test_a_task_that_ends_the_same_way_twice_is_told_of_twice(api: Api, pause: int) -> None:
    task = api.stored_task()
    cancel(api, task)
    api.client.post(f"/v1/tasks/{task.id}/retry")
    api.clock.advance(1 + pause)
    cancel(api, task)
    assert len(set(told(api))) == 2
