"""Headers that callers add to their webhooks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recorded_telemetry import CountedMetrics, labelled
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.webhooks.test_webhooks import URL, push_of

SECRET = "Bearer top-secret-of-the-gateway"
HEADERS = {"Authorization": SECRET, "x-tenant": "blue"}


def completed(api: Api, task_id: str) -> Any:
    return api.complete(api.claim(api.stored(task_id)))


def submitted(api: Api, callback_headers: Any = HEADERS, **request: Any) -> Any:
    body = {"prompt": "a large red circle", "callback_url": URL, "callback_headers": callback_headers}
    return api.client.post("/v1/tasks", json=body, **request)


def test_delivery_carries_the_headers(api: Api) -> None:
    task = completed(api, submitted(api).get_json()["id"])
    assert push_of(api, task).status_code == 204
    (sent,) = api.receiver.sent
    assert HEADERS.items() <= sent.headers.items()
    assert {"webhook-id", "webhook-signature"} <= sent.headers.keys()


def test_values_are_in_no_document_response_message_or_log(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = submitted(api)
    task = completed(api, answer.get_json()["id"])
    push_of(api, task)
    assert answer.get_json()["callback_headers"] == ["Authorization", "x-tenant"]
    (sent,) = api.receiver.sent
    log = api.client.get(f"/v1/tasks/{task.id}/webhook-deliveries").text
    shown = [
        answer.text,
        repr(api.stored(task.id)),
        sent.body.decode(),
        log,
        repr(api.queue.published),
        capsys.readouterr().out,
    ]
    for text in shown:
        assert "top-secret" not in text
        assert "blue" not in text
    assert "x-tenant" in shown[0]


@pytest.mark.parametrize(("value", "status"), [(SECRET, 200), ("Bearer another", 422)])
def test_replay_compares_the_values(api: Api, value: str, status: int) -> None:
    key = {"Idempotency-Key": "1"}
    assert submitted(api, HEADERS, headers=key).status_code == 202
    assert submitted(api, {**HEADERS, "Authorization": value}, headers=key).status_code == status


def test_stored_values_differ_between_users(api: Api) -> None:
    tasks = [submitted(api, headers=signed_in_as(user)).get_json()["id"] for user in ("ada", "bob")]
    first, second = (api.stored(task_id).callback_headers["Authorization"] for task_id in tasks)
    assert first != second


REFUSED: dict[str, Any] = {
    "an own header": {"webhook-id": "1"},
    "the body's type": {"Content-Type": "text/plain"},
    "the host": {"HOST": "example.com"},
    "the framing": {"Transfer-Encoding": "chunked"},
    "a proxy's header": {"Proxy-Authorization": "x"},
    "a second line": {"X-A": f"{SECRET}\r\nX-B: 1"},
    "a name with a colon": {"X-A:": "1"},
    "an empty name": {"": "1"},
    "an empty value": {"X-A": ""},
    "a blank at an end": {"X-A": " 1"},
    "a value that is not ASCII": {"X-A": "ä"},
    "a long value": {"X-A": "x" * 2_001},
    "long values": {f"X-{number}": "x" * 2_000 for number in range(5)},
    "a value that is no text": {"X-A": 1},
    "one name twice": {"X-A": "1", "x-a": "2"},
    "many headers": {f"X-{number}": "1" for number in range(11)},
    "a list": ["X-A"],
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_other_headers_are_refused(api: Api, headers: Any) -> None:
    answer = submitted(api, headers)
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"].startswith("/callback_headers")
    assert "top-secret" not in answer.text
    assert api.has_taken_nothing()


def test_headers_without_an_url_are_refused(api: Api) -> None:
    answer = api.submit(callback_headers=HEADERS)
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"pointer": "/callback_headers", "detail": "needs `callback_url`"}]


def test_delivery_fails_after_a_change_of_the_webhook_key(api: Api, tmp_path: Path) -> None:
    task = completed(api, submitted(api).get_json()["id"])
    later = Api(folder=tmp_path, store=api.store, clock=api.clock, webhook_key=b"another key of the API")
    api.clock.advance(600)
    assert push_of(later, task).status_code == 204
    (delivery,) = later.client.get(f"/v1/tasks/{task.id}/webhook-deliveries").get_json()["deliveries"]
    assert delivery["state"] == "abandoned"
    assert "with another webhook key" in delivery["tries"][0]["error"]
    assert not later.receiver.sent


def test_new_task_is_not_abandoned_by_a_process_with_the_old_webhook_key(api: Api, tmp_path: Path) -> None:
    task = completed(api, submitted(api).get_json()["id"])
    earlier = Api(
        folder=tmp_path,
        store=api.store,
        clock=api.clock,
        webhook_logs=api.webhook_logs,
        webhook_key=b"the key before",
    )
    push_of(earlier, task)
    assert not earlier.receiver.sent
    api.clock.advance(60)
    assert api.call_internal("retry-webhooks").get_json() == {"tried": 1, "left": 0}
    (delivery,) = api.webhook_logs.get(task.id).deliveries
    assert (delivery.delivered_at, delivery.tries_made) == (api.clock.now(), 2)


@pytest.mark.parametrize(
    "change",
    [
        {"callback_url": "https://attacker.example.com/"},
        {"callback_events": ("started", "finished")},
        {"callback_headers": {}},
        {"user_id": "bob"},
        {"id": "another-task"},
        {"callback_seal": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_is_sent_to_a_callback_that_a_worker_changed(api: Api, change: dict[str, Any]) -> None:
    """A worker may write every field of a task, or copy the callback to a task of its own."""
    changed = replace(completed(api, submitted(api).get_json()["id"]), **change)
    if "id" in change:
        api.store.create(changed)
    else:
        changed = api.store.update(changed.id, lambda task: replace(task, **change))
    counted = CountedMetrics()
    api.clock.advance(600)
    assert push_of(api, changed).status_code == 204
    assert not api.receiver.sent
    assert counted.of("darkroom.records.refused") == {labelled(record="callback"): 1}
    (delivery,) = api.webhook_logs.get(changed.id).deliveries
    assert (delivery.abandoned, "changed since" in str(delivery.tries[0].error)) == (True, True)
