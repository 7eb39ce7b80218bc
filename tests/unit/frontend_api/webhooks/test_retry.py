"""Retries: which deliveries are tried when, and that no caller takes the turns of another."""

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import Mock

import pytest

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.wire_formats.task_event import TaskEvent, encode_task_event, ending_of, progress_of
from frontend_api.webhooks.delivery_log import Outcome, WebhookLog
from frontend_api.webhooks.retry import MAX_LOGS, MAX_POSTPONED, RUN, TURN, RetryDeliveries
from frontend_api.webhooks.retry_schedule import RetrySchedule
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.webhooks.test_webhooks import (
    REFUSED,
    URL,
    completed,
    deliveries_of,
    push,
    push_of,
    replay,
    retry,
)

NOTHING = {"tried": 0, "left": 0}


def failed_deliveries(api: Api, user_id: str, count: int) -> list[Task]:
    """Store finished tasks of a caller whose first tries were refused."""
    tasks = [
        completed(api, user_id=user_id, task_id=f"{user_id}-{number:03}", callback_url=f"{URL}&{user_id}")
        for number in range(count)
    ]
    api.receiver.outcomes = [REFUSED] * count
    for task in tasks:
        assert push_of(api, task).status_code == 204
    assert not api.receiver.outcomes
    api.receiver.sent.clear()
    return tasks


def receivers(api: Api) -> list[str]:
    """Return the callers whose receivers were called, in order."""
    return [sent.url.target.rpartition("&")[2] for sent in api.receiver.sent]


def test_delivery_is_tried_again_when_it_is_due(api: Api) -> None:
    (task,) = failed_deliveries(api, "local", 1)
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert delivery["retry_at"] == "2026-01-01T12:00:30Z"
    api.clock.advance(29)
    assert retry(api) == NOTHING
    api.clock.advance(1)
    assert retry(api) == {"tried": 1, "left": 0}
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["retry_at"]) == ("delivered", None)


def test_message_of_a_delivery_that_waits_causes_no_try(api: Api) -> None:
    """Pub/Sub delivers at least once."""
    (task,) = failed_deliveries(api, "local", 1)
    for _ in range(3):
        assert push_of(api, task).status_code == 204
    assert not api.receiver.sent


def test_event_is_sent_again_as_it_was(api: Api) -> None:
    task = api.claimed_task(callback_url=URL, callback_events=("progress",))
    event = encode_task_event(progress_of(task))
    api.receiver.outcomes = [REFUSED]
    push(api, event)
    api.clock.advance(30)
    retry(api)
    first, second = api.receiver.sent
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_obsolete_event_is_not_tried_again(api: Api) -> None:
    task = api.claimed_task(callback_url=URL, callback_events=("progress",))
    api.receiver.outcomes = [REFUSED]
    push(api, encode_task_event(progress_of(task)))
    api.clock.advance(61)
    api.store.update(task.id, lambda t: t.claimed_by("w", api.clock.now(), task.keep_for))
    assert retry(api) == {"tried": 1, "left": 0}
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["tries_made"]) == ("abandoned", 1)
    api.clock.advance(600)
    assert retry(api) == NOTHING
    assert len(api.receiver.sent) == 1


def test_no_event_of_a_deleted_task_is_tried_again(api: Api) -> None:
    (task,) = failed_deliveries(api, "local", 1)
    api.client.delete(f"/v1/tasks/{task.id}")
    api.clock.advance(30)
    assert retry(api) == NOTHING
    assert not api.receiver.sent


def test_stopped_task_is_not_tried_again_until_a_replay(api: Api) -> None:
    (task,) = failed_deliveries(api, "local", 1)
    api.clock.advance(30)
    api.receiver.outcomes = [Outcome(status=410)]
    assert retry(api) == {"tried": 1, "left": 0}
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["retry_at"]) == ("stopped", None)
    api.clock.advance(600)
    assert retry(api) == NOTHING
    replay(api, task)
    assert retry(api) == {"tried": 1, "left": 0}


def test_caller_with_many_failures_does_not_delay_another(api: Api) -> None:
    failed_deliveries(api, "eve", MAX_LOGS + 5)
    api.clock.advance(1)
    failed_deliveries(api, "bob", 1)
    api.clock.advance(60)
    api.receiver.outcomes = [REFUSED] * MAX_LOGS * 2
    retry(api)
    called = receivers(api)
    assert sorted(set(called)) == ["bob", "eve"]
    assert called.index("bob") <= MAX_LOGS  # in the first round, which 5 of eve's tasks wait for the end of
    assert called.count("eve") == MAX_LOGS + 5


def test_caller_whose_receivers_hang_has_a_short_turn(api: Api) -> None:
    failed_deliveries(api, "eve", 5)
    failed_deliveries(api, "bob", 1)
    api.clock.advance(60)
    api.receiver.meanwhile = lambda: api.clock.advance(TURN.total_seconds() + 5)
    api.receiver.outcomes = [REFUSED] * 6
    retry(api)
    assert sorted(receivers(api)) == ["bob", "eve"]


def test_callers_without_a_turn_come_first_in_the_next_run(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns of those that had one end behind the callers that wait."""
    for number in range(5):
        failed_deliveries(api, f"caller-{number}", 3)
        api.clock.advance(1)
    api.clock.advance(60)
    api.receiver.meanwhile = lambda: api.clock.advance(RUN.total_seconds() + 1)
    runs = []
    for _ in range(5):
        api.receiver.sent.clear()
        api.receiver.outcomes = [REFUSED] * 4
        assert retry(api)["left"] > 0
        runs.append(set(receivers(api)))
    assert set().union(*runs) == {f"caller-{number}" for number in range(5)}


def test_failing_turn_ends_no_other(api: Api) -> None:
    """There are more callers than turns at the same time."""
    for number in range(20):
        failed_deliveries(api, f"caller-{number:02}", 1)
    api.clock.advance(60)
    tried = []

    def deliver(event: TaskEvent) -> bool:
        if event.user_id == "caller-00":
            raise DependencyUnavailableError("firestore")
        tried.append(event.user_id)
        return True

    run = RetryDeliveries(logs=api.webhook_logs, deliver=deliver, clock=api.clock, at_once=2)
    with pytest.raises(DependencyUnavailableError):
        run()
    assert len(tried) == 19
    # It has lost its place to the others, which are still due here.
    assert api.webhook_logs.callers_due(now=api.clock.now(), limit=20) != ("caller-00",)


def test_damaged_log_costs_no_other_delivery_its_turn(api: Api) -> None:
    failed_deliveries(api, "eve", 5)
    failed_deliveries(api, "bob", MAX_LOGS + 5)
    api.clock.advance(60)
    tried = []

    def deliver(event: TaskEvent) -> bool:
        if event.task_id == "eve-000":
            raise KeyError("status")
        tried.append(event.task_id)
        return api.dependencies.webhooks.deliver_event(event)

    run = RetryDeliveries(logs=api.webhook_logs, deliver=deliver, clock=api.clock, at_once=2)
    with pytest.raises(KeyError):
        run()
    assert len(tried) == 4 + MAX_LOGS + 5


def test_caller_alone_has_several_tries_at_once(api: Api) -> None:
    """A receiver that is slow but works must not fall behind."""
    failed_deliveries(api, "local", 60)
    api.clock.advance(60)
    both, arrivals = threading.Barrier(2), count()

    def meet() -> None:
        if next(arrivals) < 2:
            both.wait(timeout=30)

    api.receiver.meanwhile = meet
    run = RetryDeliveries(
        logs=api.webhook_logs, deliver=api.dependencies.webhooks.deliver_event, clock=api.clock, at_once=6
    )
    while run().tried:
        api.clock.advance(600)  # for those that found no slot of the host
    delivered = [one.delivered_at is not None for log in api.webhook_logs.all_logs for one in log.deliveries]
    assert delivered == [True] * 60


def test_caller_whose_receivers_occupy_its_slots_costs_little(api: Api) -> None:
    """Each postponed delivery costs as much as a try, and such a caller may have thousands."""
    failed_deliveries(api, "eve", MAX_POSTPONED * 10)
    failed_deliveries(api, "bob", 2)
    api.clock.advance(60)
    postponed = []

    def deliver(event: TaskEvent) -> bool:
        if event.user_id == "bob":
            return api.dependencies.webhooks.deliver_event(event)
        postponed.append(event.task_id)
        return False

    run = RetryDeliveries(logs=api.webhook_logs, deliver=deliver, clock=api.clock, at_once=6)
    assert run().tried == MAX_POSTPONED * 3 + 2
    assert len(set(postponed)) == MAX_POSTPONED * 3
    assert receivers(api) == ["bob"] * 2
    assert api.webhook_logs.callers_due(now=api.clock.now(), limit=9) == ("eve",)


def test_lane_with_a_slot_goes_on_when_others_find_none(api: Api) -> None:
    """Other callers may hold the other slots."""
    failed_deliveries(api, "bob", 2 * MAX_POSTPONED + 20)
    api.clock.advance(60)
    held, others_ended = threading.Barrier(3), threading.Event()
    lanes: dict[int, bool] = {}
    refused: list[str] = []

    def deliver(event: TaskEvent) -> bool:
        lane = threading.get_ident()
        if lane not in lanes:
            lanes[lane] = held.wait(timeout=30) == 0
        if not lanes[lane]:
            refused.append(event.task_id)
            if len(refused) == 2 * MAX_POSTPONED:
                others_ended.set()
            return False
        assert others_ended.wait(timeout=30)
        return api.dependencies.webhooks.deliver_event(event)

    run = RetryDeliveries(logs=api.webhook_logs, deliver=deliver, clock=api.clock, at_once=6)
    assert run().tried == 2 * MAX_POSTPONED + 20
    assert len(receivers(api)) == 20


def test_turn_on_several_threads_reads_and_settles_once(api: Api) -> None:
    failed_deliveries(api, "local", 30)
    api.clock.advance(60)
    logs = Mock(wraps=api.webhook_logs)
    run = RetryDeliveries(
        logs=logs, deliver=api.dependencies.webhooks.deliver_event, clock=api.clock, at_once=6
    )
    assert run().tried == 30
    assert (logs.due_of.call_count, logs.settle.call_count) == (1, 1)


def test_replays_of_a_delivery_that_is_due_change_nothing(api: Api) -> None:
    """Changes of the log during a try would keep its result from being stored."""
    (task,) = failed_deliveries(api, "local", 1)
    api.clock.advance(30)
    before = api.webhook_logs.get(task.id).revision
    for _ in range(3):
        assert replay(api, task).get_json()["state"] == "pending"
    assert api.webhook_logs.get(task.id).revision == before


def test_postponed_delivery_waits_no_longer_each_time(api: Api) -> None:
    """Others may occupy the slots."""
    task = completed(api)
    log = WebhookLog(task_id=task.id)
    for minutes in (0, 10, 60, 600):
        at = api.clock.now() + timedelta(minutes=minutes)
        log = log.postponed(
            ending_of(task), url=URL, at=at, schedule=RetrySchedule(), expires_at=at, is_own=False
        )
        assert log.retry_at == at + RetrySchedule().first_pause
    late = api.clock.now() + timedelta(days=1)
    log = log.postponed(
        ending_of(task), url=URL, at=late, schedule=RetrySchedule(), expires_at=late, is_own=False
    )
    assert (log.retry_at, log.deliveries[0].abandoned) == (None, True)


def test_delivery_that_own_tries_keep_from_a_slot_waits_as_after_a_failure(api: Api) -> None:
    """Otherwise those to a receiver that does not respond come before the caller's others each time."""
    task, schedule, pauses = completed(api), RetrySchedule(), []
    log = WebhookLog(task_id=task.id)
    for minutes in (0, 2, 60):
        at = api.clock.now() + timedelta(minutes=minutes)
        log = log.postponed(ending_of(task), url=URL, at=at, schedule=schedule, expires_at=at, is_own=True)
        assert log.retry_at is not None
        pauses.append(log.retry_at - at)
    assert pauses == [schedule.first_pause, timedelta(minutes=2), schedule.longest_pause]


def test_event_is_tried_again_after_an_outage(api: Api) -> None:
    (task,) = failed_deliveries(api, "local", 1)
    api.clock.advance(30)
    for part in (api.webhook_logs, api.store):
        part.unavailable = True
        assert api.call_internal("retry-webhooks").status_code == 503
        part.unavailable = False
    assert retry(api) == {"tried": 1, "left": 0}
    assert deliveries_of(api, task)["deliveries"][0]["state"] == "delivered"


def test_owner_of_a_message_does_not_decide_whose_turn_it_is(api: Api) -> None:
    """Workers publish events."""
    task = completed(api)
    push(api, encode_task_event(replace(ending_of(task), user_id="bob")))
    assert not api.receiver.sent
    answer: Any = api.client.get("/v1/tasks", headers=signed_in_as("bob")).get_json()
    assert answer["tasks"] == []
