"""POST /internal/rescue: which tasks are published again, which fail, and which are left alone."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from common.domain.errors import ContendedError
from common.domain.task import Task, TaskStatus
from tests.fakes.clock_correcting_store import ClockCorrectingStore
from tests.fakes.fake_clock import FakeClock
from tests.unit.frontend_api.conftest import Api

NOTHING = {"published": 0, "abandoned": 0, "left": 0}


def rescued(api: Api, **body: object) -> dict[str, int]:
    answer = api.rescue(**body)
    assert answer.status_code == 200, answer.text
    return {name: answer.get_json()[name] for name in NOTHING}


def acquired_by_another(api: Api) -> bool:
    return api.rescue_lock.acquire("another", now=api.clock.now(), ttl=timedelta(seconds=60)) is not None


def test_unconfirmed_task_is_published_once(api: Api) -> None:
    task = api.stored_task()
    assert rescued(api) == NOTHING  # its submission may still be in progress
    api.clock.advance(31)
    assert rescued(api)["published"] == 1
    assert rescued(api)["published"] == 0
    assert [published.id for published in api.queue.published] == [task.id]
    assert api.stored(task.id).enqueued_at == api.clock.now()


def test_every_queued_task_is_published_when_the_queue_was_lost(api: Api) -> None:
    api.submit()
    api.clock.advance(5)
    lost_at = api.clock.now().isoformat()
    api.clock.advance(1)
    api.submit()
    assert rescued(api, queue_lost_at=lost_at)["published"] == 1
    assert rescued(api, queue_lost_at=lost_at)["published"] == 0


def test_rescue_accepts_an_empty_body(api: Api) -> None:
    answer = api.call_internal("rescue")
    assert (answer.status_code, answer.get_json()["published"]) == (200, 0)


def test_rescue_counts_every_verdict_in_its_response_and_log(api: Api) -> None:
    api.stored_task(task_id="never-enqueued")
    lost = api.stored_task(task_id="lost")
    api.store.update(lost.id, lambda task: task.enqueued(api.clock.now()))
    api.stored_task(task_id="overdue", start_within=timedelta(seconds=10))
    api.claimed_task(task_id="dead")
    api.claimed_task(task_id="used-up", attempts=1)
    api.clock.advance(5_000)
    api.claimed_task(task_id="dying")
    api.clock.advance(61)
    counts = {
        "never_enqueued": 1, "message_lost": 1, "claim_expired": 1, "deadline_exceeded": 1,
        "attempts_exhausted": 1, "unclaimed": 0, "event_unpublished": 0, "no_action": 1,
    }  # fmt: skip
    with structlog.testing.capture_logs() as lines:
        answer = api.rescue()
    assert answer.get_json() == {"published": 3, "abandoned": 2, "left": 1, "by_verdict": counts}
    finished = [line for line in lines if line["event"] == "rescue_finished"]
    assert finished == [{"event": "rescue_finished", "log_level": "info", **counts}]


def test_tasks_in_their_grace_period_never_hide_others(api: Api) -> None:
    for number in range(500):
        api.claimed_task(task_id=f"dead-{number:03}")
    api.clock.advance(1)
    api.claimed_task(task_id="the-last-in-the-row", attempts=1)
    api.clock.advance(125)
    api.rescue()  # now 500 messages are in flight, and their tasks stay in the list
    api.claimed_task(task_id="another", attempts=1)
    api.clock.advance(125)
    assert rescued(api) == {"published": 0, "abandoned": 1, "left": 500}
    assert api.stored("another").status is TaskStatus.FAILED


def test_rescue_is_refused_at_once_when_another_is_running(api: Api) -> None:
    api.stored_task()
    api.clock.advance(60)
    assert acquired_by_another(api)
    answer = api.rescue()
    assert (answer.status_code, answer.get_json()["code"]) == (409, "rescue_running")
    assert answer.get_json()["detail"] == "another rescue is running"
    assert not api.queue.published
    api.clock.advance(60)  # the running rescue has died
    assert rescued(api)["published"] == 1


def test_failed_rescue_releases_its_lock(api: Api) -> None:
    api.stored_task()
    api.clock.advance(60)
    api.queue.unavailable = True
    assert api.rescue().status_code == 503
    api.queue.unavailable = False
    assert rescued(api)["published"] == 1


def test_failed_rescue_publishes_the_events_of_the_tasks_that_it_failed(api: Api) -> None:
    api.stored_task(task_id="overdue", start_within=timedelta(seconds=1))
    api.stored_task()
    api.clock.advance(60)
    api.queue.unavailable = True
    assert api.rescue().status_code == 503
    assert [event.task_id for event in api.events.events] == ["overdue"]


def test_task_that_its_owner_changes_all_the_time_does_not_end_the_rescue(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its owner cost seconds each, so one is tried."""
    for number in range(3):
        api.stored_task(task_id=f"eve-{number}", user_id="eve", start_within=timedelta(seconds=1))
    api.stored_task(task_id="bob", user_id="bob", start_within=timedelta(seconds=2))
    api.stored_task(task_id="local")
    api.clock.advance(60)
    tried, update = [], api.store.update

    def contended(task_id: str, *given: Any, **named: Any) -> Task:
        if task_id.startswith("eve"):
            tried.append(task_id)
            raise ContendedError("firestore", "refused 40 conflicting writes in a row")
        return update(task_id, *given, **named)

    monkeypatch.setattr(api.store, "update", contended)
    result = rescued(api)
    assert (result["published"], result["abandoned"], len(tried)) == (1, 1, 1)
    monkeypatch.undo()
    assert rescued(api)["abandoned"] == 3


def test_paused_rescue_stops_when_it_has_lost_the_lock(api: Api) -> None:
    for number in range(250):
        api.stored_task(task_id=f"task-{number:03}")
    api.clock.advance(60)
    publish = api.queue.publish

    def slow_publish(*tasks: Task) -> None:
        publish(*tasks)
        if len(api.queue.published) == 200:  # the last of the page: this run was suspended and overtaken
            api.clock.advance(61)
            assert acquired_by_another(api)

    api.queue.publish = slow_publish  # type: ignore[method-assign]
    assert rescued(api)["published"] == 200
    assert api.rescue().status_code == 409  # the lock still belongs to the next one


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-01T00:00:00", "2026-01-01", 0, "0", [], "x" * 100])
def test_invalid_time_is_refused(api: Api, moment: object) -> None:
    answer = api.rescue(queue_lost_at=moment)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/queue_lost_at")


def test_rescue_with_a_wrong_clock_abandons_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    store = ClockCorrectingStore(clock)
    api = Api(folder=tmp_path, clock=clock, store=store)
    held = api.claimed_task(task_id="held", attempts=1)
    queued = api.stored_task(task_id="queued", start_within=timedelta(seconds=60))
    store.set_clock_ahead(125)
    assert rescued(api)["abandoned"] == 0
    assert [api.stored(task.id).status for task in (held, queued)] == [held.status, queued.status]
