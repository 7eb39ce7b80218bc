"""Replays of submissions with `callback_headers`, whose stored values only the former webhook key decrypts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.models.catalog import ModelCatalog
from tests.unit.frontend_api.conftest import Api

BODY = {
    "prompt": "a large red circle",
    "callback_url": "https://receiver.example/hook",
    "callback_headers": {"Authorization": "Bearer secret", "x-tenant": "12"},
}


def submitted(api: Api, **changes: Any) -> tuple[int, str]:
    answer = api.client.post("/v1/tasks", json=BODY | changes, headers={"Idempotency-Key": "order-1"})
    return outcome(answer.status_code, answer)


def submitted_in_batch(api: Api, **changes: Any) -> tuple[int, str]:
    item = BODY | changes | {"idempotency_key": "order-1"}
    answer = api.client.post("/v1/tasks:batch", json={"tasks": [item]})
    (result,) = answer.get_json()["results"]
    return result["status"], (result["task"] or {}).get("id") or result["problem"]["code"]


def outcome(status: int, answer: TestResponse) -> tuple[int, str]:
    return status, answer.get_json().get("id") or answer.get_json()["code"]


@pytest.fixture
def old(tmp_path: Path) -> Api:
    return Api(folder=tmp_path)


def with_new_key(old: Api, **changes: Any) -> Api:
    return Api(
        folder=old.folder,
        store=old.store,
        clock=old.clock,
        webhook_key=b"the new key of the deployment",
        **changes,
    )


each_way = pytest.mark.parametrize("submit", [submitted, submitted_in_batch])


@each_way
def test_replay_matches(old: Api, submit: Callable[..., tuple[int, str]]) -> None:
    _, task_id = submitted(old)
    assert submit(with_new_key(old)) == (200, task_id)


@each_way
def test_replay_matches_when_the_model_was_removed(old: Api, submit: Callable[..., tuple[int, str]]) -> None:
    _, task_id = submitted(old, model="demo")
    other = old.catalog.default.model_copy(update={"name": "other"})
    assert submit(with_new_key(old, catalog=ModelCatalog(models=(other,))), model="demo") == (200, task_id)


@each_way
@pytest.mark.parametrize(
    "changes",
    [
        {"callback_headers": {}},
        {"callback_headers": {"Authorization": "Bearer secret"}},
        {"prompt": "a small blue square"},
    ],
    ids=["no headers", "other names", "other prompt"],
)
def test_other_request_is_refused(
    old: Api, submit: Callable[..., tuple[int, str]], changes: dict[str, Any]
) -> None:
    submitted(old)
    assert submit(with_new_key(old), **changes) == (422, "idempotency_key_reused")


@each_way
def test_other_values_are_refused_with_the_same_key(old: Api, submit: Callable[..., tuple[int, str]]) -> None:
    submitted(old)
    changed = {"Authorization": "Bearer other", "x-tenant": "12"}
    assert submit(old, callback_headers=changed) == (422, "idempotency_key_reused")


def test_replay_of_a_task_with_a_digest_of_an_earlier_version_matches(old: Api) -> None:
    _, task_id = submitted(old)
    old.store.update(task_id, lambda task: replace(task, request_digest="0" * 64))
    assert submitted(old) == (200, task_id)
