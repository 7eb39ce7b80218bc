"""Dead letters: archived as Pub/Sub pushes them, managed by operators, invisible to other callers."""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.errors import ContendedError
from common.domain.task import Task, TaskStatus
from common.wire_formats.task_event import ending_of
from common.wire_formats.task_message import encode_task_message
from tests.factories import claim_of
from tests.fakes.clock_correcting_store import ClockCorrectingStore
from tests.fakes.fake_clock import FakeClock
from tests.unit.frontend_api.conftest import INTERNAL_TOKEN, Api, signed_in_as

OPERATOR = signed_in_as("olga")
PATH = "/v1/dead-letters"


def envelope(body: bytes, *, died_at: datetime, number: int = 1, **attributes: str) -> dict[str, Any]:
    return {
        "subscription": "projects/demo-unit/subscriptions/archive",
        "deliveryAttempt": 1,
        "message": {
            "data": base64.b64encode(body).decode(),
            "attributes": attributes,
            "messageId": str(number),
            "message_id": str(number),
            "publishTime": died_at.isoformat().replace("+00:00", "Z"),
            "publish_time": died_at.isoformat().replace("+00:00", "Z"),
        },
    }


def push(api: Api, pushed: Any, *, token: str = INTERNAL_TOKEN) -> TestResponse:
    return api.call_internal("dead-letters", pushed, token=token)


def died(api: Api, body: bytes, *, number: int = 1, **attributes: str) -> str:
    """Have Pub/Sub dead-letter a message now; returns the letter's id."""
    pushed = envelope(body, died_at=api.clock.now(), number=number, **attributes)
    assert push(api, pushed).status_code == 204
    newest = api.dead_letters.list_page(page_size=1).letters[0]
    return newest.id


def died_of(api: Api, task: Task) -> str:
    """Dead-letter a task's message, a minute after the task's last change; returns the letter's id."""
    api.clock.advance(60)
    return died(api, encode_task_message(task, result_bucket="images"))


def read(api: Api, path: str = "", **query: Any) -> Any:
    answer = api.client.get(f"{PATH}{path}", headers=OPERATOR, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def replayed(api: Api, letter_id: str) -> TestResponse:
    return api.client.post(f"{PATH}/{letter_id}/replay", headers=OPERATOR)


# ── archiving ────────────────────────────────────────────────────────────────────────────────────────────


def test_unreadable_message_is_archived_with_its_attributes(api: Api) -> None:
    letter_id = died(
        api,
        b"\xff\x00junk",
        model="demo",
        dead_letter_reason="body is not JSON",
        dead_letter_subscription="darkroom-tasks-demo",
        dead_letter_delivery_count="1",
        dead_letter_body_bytes="6",
    )
    now = api.clock.now()
    assert read(api, f"/{letter_id}") == {
        "id": letter_id,
        "died_at": now.isoformat().replace("+00:00", "Z"),
        "reason": "body is not JSON",
        "task_id": None,
        "is_replayable": False,
        "replayed_at": None,
        "subscription": "darkroom-tasks-demo",
        "delivery_count": 1,
        "first_published_at": None,
        "body_bytes": 6,
        "body_is_cut": False,
        "expires_at": (now + timedelta(days=30)).isoformat().replace("+00:00", "Z"),
        "attributes": {"model": "demo"},
        "body": base64.b64encode(b"\xff\x00junk").decode(),
        "body_encoding": "base64",
    }


def test_task_of_a_dead_letter_fails_and_keeps_its_history(api: Api) -> None:
    task = api.claimed_task()
    task = api.store.update(task.id, lambda t: t.handed_back(claim_of(t), api.clock.now()))
    letter_id = died_of(api, task)
    stored = api.stored(task.id)
    assert stored.status is TaskStatus.FAILED
    assert stored.failure is not None
    assert (stored.failure.code, stored.failure.retryable) == ("dead_lettered", True)
    assert [attempt.ending for attempt in stored.history] == ["handed_back"]
    letter = read(api, f"/{letter_id}")
    assert (letter["task_id"], letter["is_replayable"], letter["body_encoding"]) == (task.id, True, "utf-8")
    assert json.loads(letter["body"])["task_id"] == task.id


def test_task_under_a_live_claim_does_not_fail(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    claimed = api.store.update(
        task.id, lambda t: t.claimed_by("worker-1", api.clock.now(), timedelta(seconds=60))
    )
    died(api, encode_task_message(task, result_bucket="images"))
    assert api.stored(task.id) == claimed


def test_task_under_a_live_claim_does_not_fail_when_the_clock_is_wrong(tmp_path: Path) -> None:
    clock = FakeClock()
    store = ClockCorrectingStore(clock)
    api = Api(folder=tmp_path, clock=clock, store=store)
    claimed = api.claimed_task()
    pushed = envelope(
        encode_task_message(claimed, result_bucket="images"), died_at=clock.now() + timedelta(seconds=1)
    )
    store.set_clock_ahead(61)
    assert push(api, pushed).status_code == 204
    assert api.stored(claimed.id) == claimed


def test_task_that_changed_since_does_not_fail(api: Api) -> None:
    task = api.stored_task()
    pushed = envelope(encode_task_message(task, result_bucket="images"), died_at=api.clock.now())
    api.clock.advance(1)
    noted = api.store.update(task.id, lambda t: t.enqueued(api.clock.now()))
    assert push(api, pushed).status_code == 204
    assert api.stored(task.id) == noted


def test_task_with_a_newer_message_does_not_fail(api: Api) -> None:
    """Workers return messages that they cannot take now, such as a second one of a whole pipeline."""
    task = api.stored_task()
    body = encode_task_message(task, result_bucket="images")
    published = []
    for _ in range(3):
        published.append(api.clock.now())
        api.clock.advance(3_601)
        assert api.rescue().get_json()["published"] == 1
    for number, moment in enumerate(published):
        died(api, body, number=number, CloudPubSubDeadLetterSourceTopicPublishTime=moment.isoformat())
    assert api.stored(task.id).status is TaskStatus.QUEUED
    newest = api.clock.now()
    api.clock.advance(3_500)
    died(api, body, number=3, CloudPubSubDeadLetterSourceTopicPublishTime=newest.isoformat())
    assert api.stored(task.id).status is TaskStatus.FAILED
    assert len(read(api)["dead_letters"]) == 4


def test_finished_and_deleted_tasks_do_not_change(api: Api) -> None:
    ended = api.completed_task(task_id="done")
    died_of(api, ended)
    assert api.stored("done") == ended
    gone = api.stored_task(task_id="gone")
    api.store.delete("gone", now=api.clock.now())
    died_of(api, gone)
    assert [task.id for task in api.store.all_tasks] == ["done"]


def test_unpublished_final_event_is_published_when_its_message_dies(api: Api) -> None:
    """The worker returned each delivery, as its event was refused; Pub/Sub then dead-lettered it."""
    task = api.completed_task()
    died_of(api, task)
    assert api.stored(task.id) == task
    assert [event.id for event in api.events.events] == [ending_of(task).id]


def test_final_event_is_left_to_rescue_when_it_cannot_be_published(api: Api) -> None:
    task = api.completed_task()
    api.events.failures_left = 1
    died_of(api, task)
    assert api.rescue().get_json()["by_verdict"]["event_unpublished"] == 1
    assert [event.id for event in api.events.events] == [ending_of(task).id]


def test_repeated_message_changes_nothing_after_a_replay(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    pushed = envelope(encode_task_message(task, result_bucket="images"), died_at=api.clock.now())
    for _ in range(2):
        assert push(api, pushed).status_code == 204
    (letter,) = read(api)["dead_letters"]
    api.clock.advance(1)
    assert replayed(api, letter["id"]).status_code == 202
    assert push(api, pushed).status_code == 204
    assert api.stored(task.id).status is TaskStatus.QUEUED
    assert len(read(api)["dead_letters"]) == 1


def test_repeated_push_fails_the_task_when_the_first_push_died(api: Api) -> None:
    task = api.stored_task()
    api.clock.advance(60)
    pushed = envelope(encode_task_message(task, result_bucket="images"), died_at=api.clock.now())
    api.store.unavailable = True
    assert push(api, pushed).status_code == 503
    api.store.unavailable = False
    assert len(read(api)["dead_letters"]) == 1
    assert push(api, pushed).status_code == 204
    assert api.stored(task.id).status is TaskStatus.FAILED


def test_push_is_not_acknowledged_when_firestore_is_unavailable(api: Api) -> None:
    api.dead_letters.unavailable = True
    answer = push(api, envelope(b"junk", died_at=api.clock.now()))
    assert (answer.status_code, answer.get_json()["code"]) == (503, "dependency_unavailable")


def test_task_that_its_owner_changes_all_the_time_is_left_to_rescue(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error would make Pub/Sub slow down the pushes of all dead letters."""
    task = api.stored_task()

    def contended(*_: Any, **__: Any) -> Task:
        raise ContendedError("firestore", "refused 40 conflicting writes in a row")

    monkeypatch.setattr(api.store, "update", contended)
    letter_id = died_of(api, task)
    assert read(api, f"/{letter_id}")["task_id"] == task.id
    monkeypatch.undo()
    assert api.rescue().get_json()["published"] == 1


def test_largest_pubsub_message_is_archived(api: Api) -> None:
    letter_id = died(api, b"x" * 10_000_000)
    letter = read(api, f"/{letter_id}")
    assert (letter["body_bytes"], len(letter["body"]), letter["body_is_cut"]) == (10_000_000, 400_000, True)
    refused = push(api, envelope(b"x" * 13_000_000, died_at=api.clock.now()))
    assert (refused.status_code, refused.get_json()["code"]) == (413, "body_too_large")
    assert "16777216 bytes" in refused.get_json()["detail"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"messageId": "../../tasks/x"}, "/message/messageId"),
        ({"publishTime": "soon"}, "/message/publishTime"),
        ({"data": "abc"}, "/message/data"),
        ({"attributes": {"a": 1}}, "/message/attributes/a"),
    ],
)
def test_invalid_push_is_refused(api: Api, change: dict[str, Any], pointer: str) -> None:
    pushed = envelope(b"junk", died_at=api.clock.now())
    answer = push(api, {**pushed, "message": {**pushed["message"], **change}})
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, pointer)
    assert read(api)["dead_letters"] == []


def test_push_is_refused_with_the_token_in_its_url(api: Api) -> None:
    pushed = envelope(b"junk", died_at=api.clock.now())
    for query in ({"token": "guessed"}, {}, {"token": INTERNAL_TOKEN}):
        answer = api.client.post("/internal/dead-letters", json=pushed, query_string=query)
        assert answer.status_code == 401
    assert push(api, pushed, token="guessed").status_code == 401
    assert push(api, pushed).status_code == 204


# ── management by operators ──────────────────────────────────────────────────────────────────────────────

VERBS = [("GET", ""), ("GET", "/x"), ("POST", "/x/replay"), ("DELETE", "/x"), ("DELETE", "")]


def test_list_returns_pages_newest_first_without_bodies(api: Api) -> None:
    ids = []
    for number in range(5):
        api.clock.advance(1)
        ids.append(died(api, b"junk", number=number))
    first = read(api, page_size=3)
    second = read(api, page_size=3, page_token=first["next_page_token"])
    assert [letter["id"] for letter in first["dead_letters"] + second["dead_letters"]] == ids[::-1]
    assert second["next_page_token"] is None
    assert "body" not in first["dead_letters"][0]


@pytest.mark.parametrize("query", [{"page_size": 0}, {"page_token": "x"}, {"page": 1}])
def test_invalid_page_is_refused(api: Api, query: dict[str, Any]) -> None:
    answer = api.client.get(PATH, headers=OPERATOR, query_string=query)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "parameters_rejected")


@pytest.mark.parametrize(("method", "path"), VERBS[1:4])
def test_missing_letter_is_not_found(api: Api, method: str, path: str) -> None:
    answer = api.client.open(f"{PATH}{path}", method=method, headers=OPERATOR)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "dead_letter_not_found")


def test_replay_queues_the_failed_task_with_all_attempts(api: Api) -> None:
    task = api.claimed_task()
    letter_id = died_of(api, task)
    api.clock.advance(1)
    answer = replayed(api, letter_id)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/tasks/{task.id}")
    stored = api.stored(task.id)
    assert (stored.status, stored.attempts_left, stored.enqueued_at) == (
        TaskStatus.QUEUED,
        4,
        api.clock.now(),
    )
    assert [attempt.ending for attempt in stored.history] == ["claim_expired"]
    assert [published.id for published in api.queue.published] == [task.id]
    assert read(api, f"/{letter_id}")["replayed_at"] is not None


def test_replay_of_a_queued_task_publishes_one_more_message(api: Api) -> None:
    letter_id = died_of(api, api.stored_task())
    for _ in range(2):
        api.clock.advance(1)
        assert replayed(api, letter_id).status_code == 202
    assert len(api.queue.published) == 2
    (task,) = api.store.all_tasks
    assert (task.status, task.attempts_left) == (TaskStatus.QUEUED, 4)


def test_undecodable_letter_is_not_replayed(api: Api) -> None:
    answer = replayed(api, died(api, b"junk"))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "dead_letter_undecodable")
    assert "body is not JSON" in answer.get_json()["detail"]
    assert not api.queue.published


def test_completed_or_cancelled_task_is_not_replayed(api: Api) -> None:
    done = api.completed_task(task_id="done")
    answer = replayed(api, died_of(api, done))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "invalid_transition")
    cancelled_task = api.stored_task(task_id="cancelled")
    api.store.update("cancelled", lambda t: t.cancelled(api.clock.now()))
    answer = replayed(api, died_of(api, cancelled_task))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "invalid_transition")


def test_replay_of_a_deleted_task_is_not_found(api: Api) -> None:
    task = api.stored_task()
    letter_id = died_of(api, task)
    api.store.delete(task.id, now=api.clock.now())
    answer = replayed(api, letter_id)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "task_not_found")


def test_replay_is_left_to_rescue_when_publishing_fails(api: Api) -> None:
    task = api.stored_task()
    letter_id = died_of(api, task)
    api.queue.unavailable = True
    answer = replayed(api, letter_id)
    assert (answer.status_code, answer.get_json()["task_id"]) == (503, task.id)
    assert api.stored(task.id).status is TaskStatus.QUEUED
    assert read(api, f"/{letter_id}")["replayed_at"] is None


def test_letter_can_be_deleted(api: Api) -> None:
    letter_id = died(api, b"junk")
    assert api.client.delete(f"{PATH}/{letter_id}", headers=OPERATOR).status_code == 204
    assert api.client.delete(f"{PATH}/{letter_id}", headers=OPERATOR).status_code == 404


def test_old_letters_can_be_purged(api: Api) -> None:
    died(api, b"old", number=1)
    api.clock.advance(3_600)
    young = died(api, b"young", number=2)
    query = {"older_than": api.clock.now().isoformat()}
    answer = api.client.delete(PATH, headers=OPERATOR, query_string=query)
    assert (answer.status_code, answer.get_json()) == (200, {"deleted": 1, "more": False})
    assert [letter["id"] for letter in read(api)["dead_letters"]] == [young]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"older_than": "7d"},
        {"older_than": "2026-01-01T00:00:00"},
        {"older_than": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_purge_requires_an_age(api: Api, query: dict[str, str]) -> None:
    died(api, b"junk")
    answer = api.client.delete(PATH, headers=OPERATOR, query_string=query)
    assert (answer.status_code, answer.get_json()["errors"][0]["parameter"]) == (422, "older_than")
    assert len(read(api)["dead_letters"]) == 1
