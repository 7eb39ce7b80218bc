"""POST /v1/tasks:cancel, :delete and :label change each task as the call for one task does."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.errors import DependencyUnavailableError
from common.domain.task import TaskStatus
from frontend_api.batches.change_tasks import (
    MAX_CHANGED_TASKS,
    MAX_REQUESTS,
    Change,
    ChangeTasks,
    TooManyChangesError,
)
from frontend_api.identity.request_rate import RequestRate
from frontend_api.tasks.changes import MAX_LABELS
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.unit.frontend_api.conftest import Api, signed_in_as

ADA, BOB = signed_in_as("ada"), signed_in_as("bob")
UNKNOWN = "0" * 32
CHANGES: dict[str, dict[str, Any]] = {"cancel": {}, "delete": {}, "label": {"labels": {"team": "b"}}}


def change(api: Api, verb: str, **selection: Any) -> TestResponse:
    body = {**CHANGES[verb], **selection}
    return api.client.post(f"/v1/tasks:{verb}", json=body, headers=ADA)


def results(answer: TestResponse) -> list[dict[str, Any]]:
    """Return the results, after a check of their counts."""
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    found: list[dict[str, Any]] = body["results"]
    assert [body["done"], body["failed"]] == [
        sum(result["is_done"] is wanted for result in found) for wanted in (True, False)
    ]
    return found


def statuses(answer: TestResponse) -> dict[str, tuple[int, str | None]]:
    """Return status and code, if any, of each task by its id."""
    return {
        result["task_id"]: (result["status"], result["problem"] and result["problem"]["code"])
        for result in results(answer)
    }


def test_cancel_returns_the_state_of_each_task(api: Api) -> None:
    queued = api.stored_task(user_id="ada", task_id="queued")
    processing = api.claimed_task(user_id="ada", task_id="processing")
    completed = api.completed_task(user_id="ada", task_id="completed")
    answer = change(api, "cancel", task_ids=[completed.id, UNKNOWN, queued.id, processing.id])
    assert list(statuses(answer).items()) == [
        (completed.id, (200, None)),
        (UNKNOWN, (404, "task_not_found")),
        (queued.id, (200, None)),
        (processing.id, (202, None)),
    ]
    assert [result["task"] and result["task"]["status"] for result in results(answer)] == [
        "completed", None, "cancelled", "processing"
    ]  # fmt: skip
    assert api.stored(queued.id).status is TaskStatus.CANCELLED
    assert api.stored(processing.id).cancel_requested_at == api.clock.now()
    assert [event.task_id for event in api.events.events] == [queued.id]


@pytest.mark.parametrize("malformed", ["", "no id", "../keys", "é", "a" * 65])
def test_malformed_id_is_that_of_no_task(api: Api, malformed: str) -> None:
    api.stored_task(user_id="ada", task_id="task-1")
    answer = change(api, "cancel", task_ids=["task-1", malformed])
    assert [result["status"] for result in results(answer)] == [200, 404]


def test_delete_removes_the_tasks_and_a_repetition_finds_none(api: Api) -> None:
    ids = [api.completed_task(user_id="ada", task_id=f"task-{number}").id for number in range(3)]
    assert statuses(change(api, "delete", task_ids=ids)) == dict.fromkeys(ids, (204, None))
    assert api.store.all_tasks == ()
    assert not api.images.objects
    assert statuses(change(api, "delete", task_ids=ids)) == dict.fromkeys(ids, (404, "task_not_found"))


def test_label_changes_each_task_unless_it_would_have_too_many(api: Api) -> None:
    full = {f"label-{number}": "x" for number in range(MAX_LABELS)}
    api.stored_task(user_id="ada", task_id="full", labels=full)
    api.stored_task(user_id="ada", task_id="kept", labels={"team": "a", "run": "1"})
    answer = change(api, "label", task_ids=["full", "kept"])
    assert statuses(answer) == {"full": (422, "parameters_rejected"), "kept": (200, None)}
    assert results(answer)[0]["problem"]["errors"][0]["pointer"] == "/labels"
    assert api.stored("full").labels == full
    assert api.stored("kept").labels == {"team": "b", "run": "1"}


@pytest.mark.parametrize("verb", CHANGES)
def test_change_is_idempotent(api: Api, verb: str) -> None:
    api.stored_task(user_id="ada", task_id="task-1")
    change(api, verb, task_ids=["task-1"])
    after = api.store.all_tasks
    change(api, verb, task_ids=["task-1"])
    assert api.store.all_tasks == after


FILTERS = [
    {"status": "queued"},
    {"model": "demo"},
    {"model": "another"},
    {"label": "team=a"},
    {"created_after": "2026-01-01T13:00:00Z"},
    {"created_before": "2026-01-01T13:00:00Z", "label": "team=a"},
]


@pytest.mark.parametrize("conditions", FILTERS)
def test_filter_selects_the_tasks_of_the_list(api: Api, conditions: dict[str, str]) -> None:
    for number in range(3):
        api.stored_task(user_id="ada", task_id=f"a-{number}", labels={"team": "a"})
        api.completed_task(user_id="ada", task_id=f"b-{number}")
        api.stored_task(user_id="bob", task_id=f"c-{number}", labels={"team": "a"})
        api.clock.advance(3_600)
    listed = api.client.get("/v1/tasks", query_string=conditions, headers=ADA).get_json()["tasks"]
    answer = change(api, "cancel", filter=conditions)
    assert list(statuses(answer)) == [task["id"] for task in listed]
    assert answer.get_json()["next_page_token"] is None


@pytest.mark.parametrize("verb", CHANGES)
def test_filter_continues_after_its_page_token(api: Api, verb: str) -> None:
    count = MAX_CHANGED_TASKS + 2
    for number in range(count):
        api.stored_task(user_id="ada", task_id=f"task-{number}", labels={"team": "a"})
        api.clock.advance(1)
    selection: dict[str, Any] = {"filter": {"label": "team=a"}}
    first = change(api, verb, **selection)
    second = change(api, verb, **selection, page_token=first.get_json()["next_page_token"])
    assert second.get_json()["next_page_token"] is None
    assert [*statuses(first), *statuses(second)] == [f"task-{number}" for number in reversed(range(count))]


@pytest.mark.parametrize("verb", CHANGES)
def test_filter_selects_no_task_of_another_user(api: Api, verb: str) -> None:
    api.stored_task(user_id="bob", task_id="b" * 32)
    until = (api.clock.now() + timedelta(days=1)).isoformat()
    before = api.store.all_tasks
    assert results(change(api, verb, filter={"created_before": until})) == []
    assert api.store.all_tasks == before


INVALID = [
    ({}, "", "exactly one of `task_ids` and `filter`"),
    ({"task_ids": ["a"], "filter": {"model": "demo"}}, "", "exactly one of `task_ids` and `filter`"),
    ({"task_ids": ["a"], "page_token": "x"}, "", "`page_token` only with `filter`"),
    ({"task_ids": []}, "/task_ids", "at least 1"),
    ({"task_ids": ["a", "b", "a"]}, "/task_ids", "each id once"),
    ({"task_ids": ["a", "a" * 101]}, "/task_ids/1", "at most 100 characters"),
    ({"task_ids": [f"{n}" for n in range(MAX_CHANGED_TASKS + 1)]}, "/task_ids", f"at most {MAX_CHANGED_TASKS}"),
    ({"filter": {}}, "/filter", "must have a condition"),
    ({"filter": {"label": None}}, "/filter", "must have a condition"),
    ({"filter": {"owner": "bob"}}, "/filter/owner", "not a known field"),
    ({"filter": {"model": "demo"}, "page_token": "abc"}, "/page_token", "`next_page_token`"),
]  # fmt: skip


@pytest.mark.parametrize(("selection", "pointer", "detail"), INVALID)
@pytest.mark.parametrize("verb", CHANGES)
def test_invalid_selection_is_refused(
    api: Api, verb: str, selection: dict[str, Any], pointer: str, detail: str
) -> None:
    api.stored_task(user_id="ada", task_id="a")
    before = api.store.all_tasks
    answer = change(api, verb, **selection)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "parameters_rejected")
    (error,) = answer.get_json()["errors"]
    assert error["pointer"] == pointer
    assert detail in error["detail"]
    assert api.store.all_tasks == before


@pytest.fixture
def limited(tmp_path: Path) -> Api:
    """The API with a limit of three requests per minute."""
    return Api(folder=tmp_path, requests_per_minute=3)


def test_each_task_counts_as_a_request(limited: Api) -> None:
    api = limited
    ids = [api.stored_task(user_id="ada", task_id=f"task-{number}").id for number in range(5)]
    answer = change(api, "cancel", task_ids=ids)
    assert [status for status, _ in statuses(answer).values()] == [200, 200, 200, 429, 429]
    assert all(0 < result["retry_after_seconds"] <= 60 for result in results(answer)[3:])
    assert [api.stored(task_id).status.value for task_id in ids] == ["cancelled"] * 3 + ["queued"] * 2
    assert change(api, "cancel", task_ids=ids).status_code == 429


def test_filter_selects_as_many_tasks_as_the_request_rate_permits(limited: Api) -> None:
    api = limited
    for number in range(4):
        api.stored_task(user_id="ada", task_id=f"task-{number}")
        api.clock.advance(0.001)
    first = change(api, "delete", filter={"status": "queued"})
    assert list(statuses(first)) == ["task-3", "task-2", "task-1"]
    api.clock.advance(60)
    token = first.get_json()["next_page_token"]
    assert list(statuses(change(api, "delete", filter={"status": "queued"}, page_token=token))) == ["task-0"]


@pytest.mark.parametrize("verb", CHANGES)
def test_tasks_fail_as_retryable_without_the_store(api: Api, verb: str) -> None:
    ids = [api.stored_task(user_id="ada", task_id=f"task-{number}").id for number in range(3)]
    api.store.unavailable = True
    answer = change(api, verb, task_ids=ids)
    assert statuses(answer) == dict.fromkeys(ids, (503, "dependency_unavailable"))
    assert all(result["problem"]["retryable"] for result in results(answer))


def test_no_more_tasks_are_tried_once_a_dependency_is_unavailable() -> None:
    clock, tried = FakeClock(), []

    def fail(task_id: str) -> None:
        tried.append(task_id)
        raise DependencyUnavailableError("firestore")

    change_tasks = ChangeTasks(store=InMemoryTaskStore(), requests=RequestRate(limit=0, clock=clock))
    outcomes = change_tasks([f"task-{number}" for number in range(100)], fail, user_id="ada")
    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailableError] * 100
    assert len(tried) <= 8  # those that were in progress


def in_turns(requests: RequestRate) -> Callable[..., object]:
    """Return a call that changes tasks in a turn of their caller, as a request does."""
    change_tasks = ChangeTasks(store=InMemoryTaskStore(), requests=requests)

    def changed(task_ids: list[str], change: Change, *, user_id: str) -> object:
        with change_tasks.turn_of(user_id):
            return change_tasks(task_ids, change, user_id=user_id)

    return changed


def test_refused_request_reads_no_tasks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[object] = []
    monkeypatch.setattr(api.store, "list_for", lambda *_given, **named: listed.append(named))
    monkeypatch.setattr("frontend_api.batches.change_tasks.MAX_REQUESTS", 0)
    refused = api.client.post("/v1/tasks:cancel", json={"filter": {"status": "queued"}})
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_waiting")
    assert not listed


def test_requests_of_one_caller_change_tasks_one_after_the_other() -> None:
    change_tasks = in_turns(RequestRate(limit=0, clock=FakeClock()))
    begun, goes_on, changed = threading.Event(), threading.Event(), list[str]()

    def held(task_id: str) -> None:
        begun.set()
        assert goes_on.wait(60)
        changed.append(task_id)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(change_tasks, ["first"], held, user_id="ada")
        assert begun.wait(60)
        second = pool.submit(change_tasks, ["second"], changed.append, user_id="ada")
        change_tasks(["of another caller"], changed.append, user_id="bob")
        assert changed == ["of another caller"]
        goes_on.set()
        first.result(60)
        second.result(60)
    assert changed == ["of another caller", "first", "second"]


def test_few_requests_of_one_caller_wait_for_each_other() -> None:
    """Each holds a thread, which other callers need. Refused ones change nothing and count no tasks."""
    requests = RequestRate(limit=100, clock=FakeClock())
    change_tasks = in_turns(requests)
    goes_on, changed = threading.Event(), list[str]()

    def held(task_id: str) -> None:
        assert goes_on.wait(60)
        changed.append(task_id)

    with ThreadPoolExecutor(MAX_REQUESTS + 3) as pool:
        sent = [
            pool.submit(change_tasks, [f"{number}-a", f"{number}-b"], held, user_id="ada")
            for number in range(MAX_REQUESTS + 3)
        ]
        ended = as_completed(sent, timeout=60)
        for _ in range(3):
            with pytest.raises(TooManyChangesError):
                next(ended).result()
        change_tasks(["of another caller"], changed.append, user_id="bob")
        assert changed == ["of another caller"]
        goes_on.set()
        for one in ended:
            one.result()
    assert (len(changed), requests.used("ada")) == (1 + 2 * MAX_REQUESTS, MAX_REQUESTS)
