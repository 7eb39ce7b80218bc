"""GET /v1/tasks/{id}/events: a task's changes as server-sent events."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.server_sent_events import ServerSentEvent, events_of
from tests.unit.frontend_api.conftest import API_KEYS_KNOWN_FOR, Api, signed_in_as


class Stream:
    """An open stream of a task's events, closed at the end of the test."""

    def __init__(self, api: Api, task_id: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = api.client.get(f"/v1/tasks/{task_id}/events", headers=named)
        self._events = events_of(chunk.decode() for chunk in self.answer.iter_encoded())

    def next(self) -> ServerSentEvent:
        return next(self._events)

    def task(self) -> dict[str, Any]:
        event = self.next()
        assert event.event == "task"
        assert event.data is not None
        body: dict[str, Any] = json.loads(event.data)
        return body

    def rest(self) -> list[ServerSentEvent]:
        """Return the remaining events. The server closes the response after the last."""
        events = list(self._events)
        self.answer.close()
        return events


def test_the_task_comes_first_then_each_change_and_the_end_ends_it(api: Api) -> None:
    task = api.stored_task()
    stream = Stream(api, task.id)
    assert stream.answer.status_code == 200
    assert stream.answer.content_type == "text/event-stream"
    assert stream.answer.headers["Cache-Control"] == "no-store"
    assert stream.answer.headers["X-Accel-Buffering"] == "no"
    assert stream.task()["status"] == "queued"
    api.claim(task)
    assert stream.task()["status"] == "processing"
    api.complete(task)
    done = stream.task()
    assert (done["status"], len(done["images"])) == ("completed", 1)
    assert stream.rest() == []
    assert api.changes.subscribers == 0


def test_an_event_is_the_task_as_it_is_read_and_its_id_the_etag(api: Api) -> None:
    task = api.completed_task()
    event = Stream(api, task.id).next()
    read = api.client.get(f"/v1/tasks/{task.id}")
    assert (event.data, event.id) == (read.text, read.get_etag()[0])
    assert read.get_json()["urls"]["events"] == f"/v1/tasks/{task.id}/events"


def test_what_the_caller_has_is_not_sent_again(api: Api) -> None:
    task = api.stored_task()
    first = Stream(api, task.id).next()
    assert first.id is not None
    resumed = Stream(api, task.id, Last_Event_ID=first.id)
    assert resumed.next().is_comment
    api.claim(task)
    assert resumed.task()["status"] == "processing"
    elsewhere = Stream(api, task.id, Last_Event_ID=first.id)
    assert elsewhere.task()["status"] == "processing"


def test_whoever_has_the_last_event_is_told_to_ask_no_more(api: Api) -> None:
    task = api.completed_task()
    last = Stream(api, task.id).next()
    assert last.id is not None
    answer = Stream(api, task.id, Last_Event_ID=last.id).answer
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_slow_reader_gets_the_newest_state(api: Api) -> None:
    task = api.stored_task()
    stream = Stream(api, task.id)
    assert stream.task()["attempt"] == 0
    api.claim(task)
    for _ in range(10):
        api.store.update(
            task.id, lambda t: replace(t, progress=replace(t.progress, step=t.progress.step + 1))
        )
    assert stream.task()["progress"]["step"] == 10


def test_a_deleted_task_is_told_to_be_gone(api: Api) -> None:
    task = api.stored_task()
    stream = Stream(api, task.id)
    stream.task()
    api.store.delete(task.id, now=api.clock.now())
    (gone,) = stream.rest()
    assert gone == ServerSentEvent(event="deleted", data=json.dumps({"id": task.id}))


def test_a_silent_stream_says_that_it_is_alive(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=0.05)
    stream = Stream(api, api.stored_task().id)
    stream.task()
    assert [stream.next().is_comment for _ in range(3)] == [True] * 3
    api.subscriptions.shut_down()


def test_a_revoked_key_ends_what_it_opened(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=0.05)
    body = {"name": "watcher", "scopes": ["read"]}
    key = api.client.post("/v1/keys", json=body).get_json()
    task = api.stored_task()
    stream = Stream(api, task.id, X_API_Key=key["key"])
    stream.task()
    assert stream.next().is_comment
    api.client.delete(f"/v1/keys/{key['id']}")
    assert stream.rest() == []
    assert api.subscriptions.waiting == 0


def test_a_stream_outlives_an_outage_of_what_knows_the_keys(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=0.05)
    key = api.client.post("/v1/keys", json={"name": "watcher", "scopes": ["read"]}).get_json()
    stream = Stream(api, api.stored_task().id, X_API_Key=key["key"])
    stream.task()
    api.clock.advance(API_KEYS_KNOWN_FOR.total_seconds())
    api.api_keys.unavailable = True
    assert [stream.next().is_comment for _ in range(3)] == [True] * 3
    api.subscriptions.shut_down()
    assert stream.rest() == []


def test_streams_end_when_the_process_does(api: Api) -> None:
    stream = Stream(api, api.stored_task().id)
    stream.task()
    api.subscriptions.shut_down()
    assert stream.rest() == []


def test_a_stream_that_nobody_began_to_read_gives_its_place_back(api: Api) -> None:
    task = api.stored_task()
    for _ in range(api.max_waiting + 1):
        answer = api.client.get(f"/v1/tasks/{task.id}/events")
        assert answer.status_code == 200
        answer.close()
        head = api.client.head(f"/v1/tasks/{task.id}/events")
        assert (head.status_code, head.data) == (200, b"")
        head.close()
    assert api.changes.subscribers == 0


def test_there_are_so_many_streams_and_no_more(api: Api) -> None:
    task = api.stored_task()
    streams = [Stream(api, task.id) for _ in range(api.max_waiting)]
    refused = api.client.get(f"/v1/tasks/{task.id}/events")
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_waiting")
    assert int(refused.headers["Retry-After"]) >= 1
    streams[0].answer.close()
    assert Stream(api, task.id).task()["id"] == task.id


def test_the_stream_of_another_users_task_does_not_exist(api: Api) -> None:
    task = api.stored_task()
    headers = signed_in_as("ada")
    foreign = api.client.get(f"/v1/tasks/{task.id}/events", headers=headers)
    unknown = api.client.get(f"/v1/tasks/{'e0' * 16}/events", headers=headers)
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.get_json()["code"] == unknown.get_json()["code"] == "task_not_found"
    assert api.changes.subscribers == 0


def test_a_stream_needs_credentials_that_can_be_believed(api: Api) -> None:
    task = api.stored_task()
    answer = api.client.get(f"/v1/tasks/{task.id}/events", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthenticated")
