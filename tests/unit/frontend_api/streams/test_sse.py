"""GET /v1/tasks/{id}/events: a task's changes as server-sent events."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Response

from common.domain.task import Task
from frontend_api.tasks.rendering import RenderTask
from frontend_api.tasks.responses import TaskResponse
from tests.server_sent_events import ServerSentEvent, events_of
from tests.unit.frontend_api.conftest import API_KEYS_KNOWN_FOR, Api


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


def test_stream_sends_the_task_then_each_change_until_the_end(api: Api) -> None:
    task = api.stored_task()
    stream = Stream(api, task.id)
    assert stream.answer.status_code == 200
    assert stream.answer.content_type == "text/event-stream"
    assert stream.answer.headers["Cache-Control"] == "no-store, no-transform"
    assert stream.answer.headers["X-Accel-Buffering"] == "no"
    assert stream.task()["status"] == "queued"
    api.claim(task)
    assert stream.task()["status"] == "processing"
    api.complete(task)
    done = stream.task()
    assert (done["status"], len(done["images"])) == ("completed", 1)
    assert stream.rest() == []
    assert api.changes.subscribers == 0


def test_event_contains_the_task_as_read_and_its_etag_as_id(api: Api) -> None:
    task = api.completed_task()
    event = Stream(api, task.id).next()
    read = api.client.get(f"/v1/tasks/{task.id}")
    assert (event.data, event.id) == (read.text, read.get_etag()[0])
    assert read.get_json()["urls"]["events"] == f"/v1/tasks/{task.id}/events"


def test_stream_skips_the_last_received_event(api: Api) -> None:
    task = api.stored_task()
    first = Stream(api, task.id).next()
    assert first.id is not None
    resumed = Stream(api, task.id, Last_Event_ID=first.id)
    assert resumed.next().is_comment
    api.claim(task)
    assert resumed.task()["status"] == "processing"
    elsewhere = Stream(api, task.id, Last_Event_ID=first.id)
    assert elsewhere.task()["status"] == "processing"


def test_stream_is_204_when_the_last_event_was_received(api: Api) -> None:
    task = api.completed_task()
    last = Stream(api, task.id).next()
    assert last.id is not None
    answer = Stream(api, task.id, Last_Event_ID=last.id).answer
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Cache-Control"] == "no-store, no-transform"


def test_stream_skips_changes_that_the_owner_cannot_see(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=0.05)
    task = api.stored_task()
    stream = Stream(api, task.id)
    stream.task()
    api.store.update(task.id, lambda t: t.enqueued(api.clock.now()))
    assert stream.next().is_comment
    api.subscriptions.shut_down()


def test_slow_reader_gets_the_newest_state(api: Api) -> None:
    task = api.stored_task()
    stream = Stream(api, task.id)
    assert stream.task()["attempt"] == 0
    api.claim(task)
    for _ in range(10):
        api.store.update(
            task.id, lambda t: replace(t, progress=replace(t.progress, step=t.progress.step + 1))
        )
    assert stream.task()["progress"]["step"] == 10


def test_stream_reports_the_deletion_of_the_task(api: Api) -> None:
    task = api.stored_task()
    stream = Stream(api, task.id)
    stream.task()
    api.store.delete(task.id, now=api.clock.now())
    (gone,) = stream.rest()
    assert gone == ServerSentEvent(event="deleted", data=json.dumps({"id": task.id}))


def test_idle_stream_sends_heartbeats(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=0.05)
    stream = Stream(api, api.stored_task().id)
    stream.task()
    assert [stream.next().is_comment for _ in range(3)] == [True] * 3
    api.subscriptions.shut_down()


def test_stream_ends_when_the_api_key_is_revoked(tmp_path: Path) -> None:
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


def test_stream_continues_when_the_key_store_is_unavailable(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=0.05)
    key = api.client.post("/v1/keys", json={"name": "watcher", "scopes": ["read"]}).get_json()
    stream = Stream(api, api.stored_task().id, X_API_Key=key["key"])
    stream.task()
    api.clock.advance(API_KEYS_KNOWN_FOR.total_seconds())
    api.api_keys.unavailable = True
    assert [stream.next().is_comment for _ in range(3)] == [True] * 3
    api.subscriptions.shut_down()
    assert stream.rest() == []


def test_stream_ends_when_the_process_stops(api: Api) -> None:
    stream = Stream(api, api.stored_task().id)
    stream.task()
    api.subscriptions.shut_down()
    assert stream.rest() == []


def test_stream_that_was_never_read_releases_its_subscription(api: Api) -> None:
    task = api.stored_task()
    for _ in range(api.max_waiting + 1):
        answer = api.client.get(f"/v1/tasks/{task.id}/events")
        assert answer.status_code == 200
        answer.close()
        head = api.client.head(f"/v1/tasks/{task.id}/events")
        assert (head.status_code, head.data) == (200, b"")
        head.close()
    assert api.changes.subscribers == 0


def test_stream_is_refused_when_too_many_callers_wait(api: Api) -> None:
    task = api.stored_task()
    streams = [Stream(api, task.id) for _ in range(api.max_waiting)]
    refused = api.client.get(f"/v1/tasks/{task.id}/events")
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_waiting")
    assert int(refused.headers["Retry-After"]) >= 1
    unread = api.client.get("/v1/tasks/unknown/events")
    assert (unread.status_code, unread.get_json()["code"]) == (429, "too_many_waiting"), "reads no task"
    streams[0].answer.close()
    assert Stream(api, task.id).task()["id"] == task.id


class ListStream(Stream):
    """An open stream of a caller's newest tasks."""

    def __init__(self, api: Api, count: int = 50) -> None:
        self.answer = api.client.get(f"/v1/tasks:events?count={count}")
        self._events = events_of(chunk.decode() for chunk in self.answer.iter_encoded())

    def next(self) -> ServerSentEvent:
        while (event := super().next()).is_comment:
            continue
        return event

    def ids_until_complete(self) -> list[str]:
        """Return the tasks' ids up to the event `complete`."""
        ids = []
        while (event := self.next()).event != "complete":
            ids.append(json.loads(event.data or "")["id"])
        return ids


def test_list_stream_sends_the_newest_tasks_then_each_change(api: Api) -> None:
    first, second = api.stored_task(task_id="first"), api.stored_task(task_id="second")
    stream = ListStream(api)
    assert stream.answer.content_type == "text/event-stream"
    assert set(stream.ids_until_complete()) == {first.id, second.id}
    api.claim(first)
    changed = stream.task()
    assert (changed["id"], changed["status"]) == (first.id, "processing")
    assert api.client.delete(f"/v1/tasks/{second.id}").status_code == 204
    while (event := stream.next()).event != "removed":
        continue
    assert json.loads(event.data or "") == {"id": second.id}
    stream.answer.close()
    assert api.changes.subscribers == 0


def test_list_stream_sends_a_task_that_is_submitted_later(api: Api) -> None:
    stream = ListStream(api)
    assert stream.ids_until_complete() == []
    submitted = api.client.post("/v1/tasks", json={"prompt": "a circle", "model": "demo"}).get_json()
    assert stream.task()["id"] == submitted["id"]
    stream.answer.close()


def test_list_stream_skips_changes_that_the_owner_does_not_see(api: Api) -> None:
    task = api.stored_task()
    stream = ListStream(api)
    stream.ids_until_complete()
    api.store.update(task.id, lambda found: found.enqueued(api.clock.now()))
    api.claim(task)
    assert stream.task()["status"] == "processing"
    stream.answer.close()


def test_list_streams_share_the_serialized_tasks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller could otherwise multiply the processor time of each change by its number of streams."""
    tasks = [api.stored_task(task_id=f"task-{number}") for number in range(3)]
    rendered: list[str] = []
    respond = RenderTask.response

    def response(render: RenderTask, task: Task, *links: Any, **options: Any) -> TaskResponse:
        rendered.append(task.id)
        return respond(render, task, *links, **options)

    monkeypatch.setattr(RenderTask, "response", response)
    streams = [ListStream(api, count) for count in (50, 50, 200)]
    for stream in streams:
        assert set(stream.ids_until_complete()) == {task.id for task in tasks}
    assert sorted(rendered) == [task.id for task in tasks]
    api.claim(tasks[0])
    assert [stream.task()["status"] for stream in streams] == ["processing"] * 3
    assert rendered[3:] == [tasks[0].id]
    for stream in streams:
        stream.answer.close()


def test_list_stream_is_refused_when_the_caller_has_too_many(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, max_list_streams_per_caller=2)
    streams = [ListStream(api) for _ in range(2)]
    refused = api.client.get("/v1/tasks:events")
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_waiting")
    assert "2 event streams" in refused.get_json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert Stream(api, api.stored_task().id).answer.status_code == 200
    streams[0].answer.close()
    assert ListStream(api).answer.status_code == 200


def test_list_stream_ends_when_the_process_stops(api: Api) -> None:
    stream = ListStream(api)
    stream.ids_until_complete()
    api.dependencies.streams.subscriptions.shut_down()
    assert stream.rest() == []


def test_list_stream_contains_no_tasks_of_other_users(api: Api) -> None:
    api.stored_task(task_id="of-another", user_id="eve")
    own = api.stored_task(task_id="own")
    stream = ListStream(api)
    assert stream.ids_until_complete() == [own.id]
    stream.answer.close()


def test_list_stream_rejects_a_count_without_tasks(api: Api) -> None:
    answer = api.client.get("/v1/tasks:events?count=0")
    assert answer.status_code == 422
    assert "count" in answer.text
    assert api.changes.subscribers == 0


@pytest.mark.parametrize("path", ["/v1/tasks:events", "/v1/tasks/task-1/events"])
def test_stream_whose_response_cannot_be_completed_keeps_no_subscription(api: Api, path: str) -> None:
    api.stored_task()

    @api.app.after_request
    def fail(_response: Response) -> Response:
        raise RuntimeError("a header cannot be computed")

    answer = api.client.get(path)
    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal_error")
    answer.close()
    assert api.changes.subscribers == 0
