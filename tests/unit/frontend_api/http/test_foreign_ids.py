"""Other users' resources do not exist for a caller, on any route; classify new routes here."""

import re
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.images import Preview
from common.domain.task import Failure, Task
from frontend_api.shares.share import Share
from tests.factories import claim_of
from tests.pictures import png
from tests.unit.frontend_api.conftest import PNG, Api, signed_in_as, stored_image

ADA, BOB, OLGA = signed_in_as("ada"), signed_in_as("bob"), signed_in_as("olga")
UNKNOWN = {"task_id": "0" * 32, "key_id": "0" * 16, "input_id": "0" * 64}
REST_OF_THE_ADDRESS = {"index": "0", "extension": "png", "number": "1", "share_id": "0" * 32}
"""Values for parameters beside the id; chosen so that the foreign resource has them."""
EVERY_TASK = {"filter": {"created_before": "2100-01-01T00:00:00Z"}}
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/tasks/<task_id>/labels": {"labels": {"a": "b"}},
    "POST /v1/tasks:cancel": EVERY_TASK,
    "POST /v1/tasks:delete": EVERY_TASK,
    "POST /v1/tasks:label": {**EVERY_TASK, "labels": {"a": "b"}},
}


class Kind(Enum):
    """What a route shows or changes."""

    OF_A_TASK = auto()
    OF_TASKS = auto()
    """The body has the ids of tasks."""
    OF_A_KEY = auto()
    OF_AN_INPUT = auto()
    THE_CALLERS = auto()
    """The caller's own resources; other users' cannot be addressed."""
    STREAMS_THE_CALLERS = auto()
    """The same, in a response that does not end: see test_sse.py."""
    SUBMITS = auto()
    OPERATORS = auto()
    MACHINES = auto()
    OF_A_LINK = auto()
    """Needs no credentials, only the token in the address: see test_shares.py."""
    EVERYBODYS = auto()
    """The same for all callers; belongs to no user."""


KINDS = {
    "POST /v1/tasks": Kind.SUBMITS,
    "POST /v1/tasks:batch": Kind.SUBMITS,
    "POST /v1/tasks:cancel": Kind.OF_TASKS,
    "POST /v1/tasks:delete": Kind.OF_TASKS,
    "POST /v1/tasks:label": Kind.OF_TASKS,
    "POST /v1/tasks:estimate": Kind.EVERYBODYS,
    "GET /v1/tasks": Kind.THE_CALLERS,
    "GET /v1/tasks/<task_id>": Kind.OF_A_TASK,
    "DELETE /v1/tasks/<task_id>": Kind.OF_A_TASK,
    "POST /v1/tasks/<task_id>/cancel": Kind.OF_A_TASK,
    "POST /v1/tasks/<task_id>/retry": Kind.OF_A_TASK,
    "POST /v1/tasks/<task_id>/labels": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/images/<int:index>": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/images/<int:index>.<extension>": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/previews/<int:index>": Kind.OF_A_TASK,
    "GET /v1/results/<task_id>": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/events": Kind.OF_A_TASK,
    "GET /v1/tasks:events": Kind.STREAMS_THE_CALLERS,
    "GET /v1/tasks/<task_id>/images/<int:index>/thumbnail": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/ws": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/webhook-deliveries": Kind.OF_A_TASK,
    "POST /v1/tasks/<task_id>/webhook-deliveries/<int:number>/replay": Kind.OF_A_TASK,
    "GET /v1/webhook-secrets": Kind.THE_CALLERS,
    "POST /v1/webhook-secrets/rotate": Kind.THE_CALLERS,
    "POST /v1/keys": Kind.THE_CALLERS,
    "GET /v1/keys": Kind.THE_CALLERS,
    "DELETE /v1/keys/<key_id>": Kind.OF_A_KEY,
    "POST /v1/tasks/<task_id>/shares": Kind.OF_A_TASK,
    "GET /v1/tasks/<task_id>/shares": Kind.OF_A_TASK,
    "DELETE /v1/tasks/<task_id>/shares/<share_id>": Kind.OF_A_TASK,
    "GET /s/<token>": Kind.OF_A_LINK,
    "GET /s/<token>/image": Kind.OF_A_LINK,
    "POST /v1/inputs": Kind.THE_CALLERS,
    "POST /v1/inputs:start": Kind.THE_CALLERS,
    "POST /v1/inputs:complete": Kind.THE_CALLERS,
    "GET /v1/inputs/<input_id>": Kind.OF_AN_INPUT,
    "GET /v1/inputs/<input_id>/content": Kind.OF_AN_INPUT,
    "DELETE /v1/inputs/<input_id>": Kind.OF_AN_INPUT,
    "GET /v1/dead-letters": Kind.OPERATORS,
    "DELETE /v1/dead-letters": Kind.OPERATORS,
    "GET /v1/dead-letters/<letter_id>": Kind.OPERATORS,
    "DELETE /v1/dead-letters/<letter_id>": Kind.OPERATORS,
    "POST /v1/dead-letters/<letter_id>/replay": Kind.OPERATORS,
    "POST /internal/rescue": Kind.MACHINES,
    "POST /internal/remove-expired": Kind.MACHINES,
    "POST /internal/dead-letters": Kind.MACHINES,
    "POST /internal/events": Kind.MACHINES,
    "GET /internal/autoscaling": Kind.MACHINES,
    "POST /internal/scale-workers": Kind.MACHINES,
    "POST /internal/record-history": Kind.MACHINES,
    "POST /internal/retry-webhooks": Kind.MACHINES,
    "GET /v1/operations": Kind.OPERATORS,
    "GET /v1/operations/history": Kind.OPERATORS,
    "GET /v1/usage": Kind.THE_CALLERS,
    "GET /v1/queue": Kind.EVERYBODYS,
    "GET /v1/models": Kind.EVERYBODYS,
    "GET /v1/models/<name>": Kind.EVERYBODYS,
    "GET /v1/models/<name>/example": Kind.EVERYBODYS,
    "POST /openai/v1/images/generations": Kind.SUBMITS,
    "POST /openai/v1/images/edits": Kind.SUBMITS,
    "GET /openai/v1/models": Kind.EVERYBODYS,
    "GET /openai/v1/models/<name>": Kind.EVERYBODYS,
    "GET /healthz": Kind.EVERYBODYS,
    "GET /readyz": Kind.EVERYBODYS,
    "GET /openapi.json": Kind.EVERYBODYS,
    "GET /docs": Kind.EVERYBODYS,
    "GET /problems/<slug>": Kind.EVERYBODYS,
    "GET /": Kind.EVERYBODYS,
    "GET /operator": Kind.EVERYBODYS,
    "GET /t/<task_id>": Kind.EVERYBODYS,
    "GET /t/<task_id>/<int:number>": Kind.EVERYBODYS,
    "GET /config.json": Kind.EVERYBODYS,
    "GET /assets/<path:name>": Kind.EVERYBODYS,
    "GET /<any('favicon.svg', 'favicon.ico', 'manifest.webmanifest', 'robots.txt'):name>": Kind.EVERYBODYS,
}


def routes() -> list[str]:
    rules = Api(folder=Path()).app.url_map.iter_rules()
    return sorted(
        {f"{verb} {rule.rule}" for rule in rules for verb in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    )


def of_kind(*kinds: Kind) -> list[str]:
    return [route for route in routes() if KINDS.get(route) in kinds]


def test_every_route_is_classified_by_its_owner() -> None:
    assert routes() == sorted(KINDS)


def asked(api: Api, route: str, headers: dict[str, str], **ids: str) -> TestResponse:
    verb, rule = route.split(" ", maxsplit=1)
    filled = {**REST_OF_THE_ADDRESS, **ids}
    path = re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda part: filled[part[1]], rule)
    return api.client.open(path, method=verb, headers=headers, json=BODIES.get(route))


def visible_parts(answer: TestResponse, given_id: str) -> tuple[int, dict[str, str], str]:
    """Return all that a caller can see, without the id that they sent and the request's own trace."""
    headers = {name: value for name, value in answer.headers.items() if name != "X-Trace-Id"}
    trace_id = answer.headers.get("X-Trace-Id", "no trace")
    return answer.status_code, headers, answer.text.replace(given_id, "ID").replace(trace_id, "TRACE")


def queued(api: Api) -> Task:
    return api.stored_task(user_id="bob", task_id="b" * 32)


def processing(api: Api) -> Task:
    task = api.claimed_task(user_id="bob", task_id="b" * 32)
    previews = (Preview(index=0, step=1, jpeg=b"JPEG, as far as this test goes"),)
    ttl = timedelta(seconds=60)
    return api.store.update(
        task.id, lambda t: t.renewed(claim_of(t), api.clock.now(), ttl, previews=previews)
    )


def completed(api: Api) -> Task:
    task = api.completed_task(user_id="bob", task_id="b" * 32)
    api.shares.add(
        Share(
            id=REST_OF_THE_ADDRESS["share_id"],
            user_id=task.user_id,
            task_id=task.id,
            image_index=0,
            object_name=stored_image(task).object_name,
            created_at=api.clock.now(),
            expires_at=api.clock.now() + timedelta(days=7),
        )
    )
    return task


def failed(api: Api) -> Task:
    task = processing(api)
    failure = Failure(code="invalid_output", message="not finite")
    return api.store.update(task.id, lambda t: t.abandoned(failure, api.clock.now()))


def expired(api: Api) -> Task:
    task = completed(api)
    api.clock.advance(timedelta(days=31).total_seconds())
    return task


@pytest.mark.parametrize("route", of_kind(Kind.OF_A_TASK, Kind.OF_TASKS))
def test_key_without_the_scope_read_reveals_nothing_of_a_stored_task(api: Api, route: str) -> None:
    task = completed(api)
    before = api.shares.all_shares
    asked_for = {"name": "all", "scopes": ["submit", "admin"]}
    key = api.client.post("/v1/keys", json=asked_for, headers=BOB).get_json()["key"]
    answer = asked(api, route, {"X-API-Key": key}, task_id=task.id)
    assert task.parameters.prompt not in answer.text
    assert "/images/" not in answer.text
    assert len(api.shares.all_shares) <= len(before)


@pytest.fixture(params=["token", "API key"])
def ada(request: pytest.FixtureRequest, api: Api) -> dict[str, str]:
    if request.param == "token":
        return ADA
    asked_for = {"name": "all", "scopes": ["read", "submit", "admin"]}
    return {"X-API-Key": api.client.post("/v1/keys", json=asked_for, headers=ADA).get_json()["key"]}


@pytest.mark.parametrize(
    "bobs", [queued, processing, completed, failed, expired], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("route", of_kind(Kind.OF_A_TASK))
def test_other_users_task_gets_the_response_of_a_missing_one(
    api: Api, ada: dict[str, str], route: str, bobs: Callable[[Api], Task]
) -> None:
    task = bobs(api)
    published, shares = list(api.queue.published), api.shares.all_shares
    foreign = asked(api, route, ada, task_id=task.id)
    unknown = asked(api, route, ada, task_id=UNKNOWN["task_id"])
    assert unknown.status_code == 404
    assert visible_parts(foreign, task.id) == visible_parts(unknown, UNKNOWN["task_id"])
    assert api.stored(task.id) == task
    assert api.queue.published == published
    assert api.shares.all_shares == shares
    if task.images:
        assert api.images.objects[stored_image(task).object_name] == PNG


@pytest.mark.parametrize(
    "bobs", [queued, processing, completed, failed, expired], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("route", of_kind(Kind.OF_TASKS))
def test_other_users_task_in_a_body_gets_the_result_of_a_missing_one(
    api: Api, ada: dict[str, str], route: str, bobs: Callable[[Api], Task]
) -> None:
    task, path = bobs(api), route.removeprefix("POST ")

    def response_for(task_id: str) -> TestResponse:
        body = {"task_ids": [task_id], **({"labels": {"a": "b"}} if path.endswith("label") else {})}
        return api.client.post(path, json=body, headers=ada)

    foreign, unknown = response_for(task.id), response_for(UNKNOWN["task_id"])
    assert unknown.get_json()["results"][0]["status"] == 404
    assert visible_parts(foreign, task.id) == visible_parts(unknown, UNKNOWN["task_id"])
    assert api.stored(task.id) == task


@pytest.mark.parametrize("route", of_kind(Kind.OF_A_KEY))
def test_other_users_key_gets_the_response_of_a_missing_one(
    api: Api, ada: dict[str, str], route: str
) -> None:
    made = api.client.post("/v1/keys", json={"name": "bob's", "scopes": ["read"]}, headers=BOB).get_json()
    foreign = asked(api, route, ada, key_id=made["id"])
    unknown = asked(api, route, ada, key_id=UNKNOWN["key_id"])
    assert unknown.status_code == 404
    assert visible_parts(foreign, made["id"]) == visible_parts(unknown, UNKNOWN["key_id"])
    assert api.client.get("/v1/models", headers={"X-API-Key": made["key"]}).status_code == 200


@pytest.mark.parametrize("route", of_kind(Kind.OF_AN_INPUT))
def test_other_users_input_gets_the_response_of_a_missing_one(
    api: Api, ada: dict[str, str], route: str
) -> None:
    made = api.upload(png(), headers=BOB).get_json()
    foreign = asked(api, route, ada, input_id=made["id"])
    unknown = asked(api, route, ada, input_id=UNKNOWN["input_id"])
    assert unknown.status_code == 404
    assert visible_parts(foreign, made["id"]) == visible_parts(unknown, UNKNOWN["input_id"])
    assert api.client.get(f"/v1/inputs/{made['id']}", headers=BOB).get_json() == made


@pytest.mark.parametrize("route", [r for r in of_kind(Kind.THE_CALLERS) if r.startswith("GET")])
def test_other_users_data_does_not_change_responses(api: Api, ada: dict[str, str], route: str) -> None:
    before = visible_parts(asked(api, route, ada), "no id")
    completed(api)
    api.stored_task(user_id="bob", task_id="another")
    api.client.post("/v1/keys", json={"name": "bob's", "scopes": ["read"]}, headers=BOB)
    assert visible_parts(asked(api, route, ada), "no id") == before


def test_idempotency_keys_are_separate_per_caller(api: Api) -> None:
    def submitted(headers: dict[str, str]) -> Any:
        key = {"Idempotency-Key": "order-1815", **headers}
        return api.client.post("/v1/tasks", json={"prompt": "a circle"}, headers=key)

    bobs, adas = submitted(BOB), submitted(ADA)
    assert (bobs.status_code, adas.status_code) == (202, 202)
    assert bobs.get_json()["id"] != adas.get_json()["id"]
    assert api.client.get(f"/v1/tasks/{bobs.get_json()['id']}", headers=ADA).status_code == 404


@pytest.mark.parametrize("route", of_kind(Kind.OPERATORS))
def test_operator_routes_reject_other_callers_alike_for_any_id(
    api: Api, ada: dict[str, str], route: str
) -> None:
    answers = [asked(api, route, ada, letter_id=letter) for letter in ("20260101-120000-000-1", "x")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert visible_parts(answers[0], "no id") == visible_parts(answers[1], "no id")
    assert asked(api, route, OLGA, letter_id="20260101-120000-000-1").status_code != 403


@pytest.mark.parametrize("route", of_kind(Kind.MACHINES))
def test_internal_routes_reject_users(api: Api, ada: dict[str, str], route: str) -> None:
    assert asked(api, route, ada).status_code == 401
    assert asked(api, route, OLGA).status_code == 401
