"""Webhooks: events as Pub/Sub pushes them, sent to the owner's URL, logged, stopped, replayed."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from common.domain.task import Task
from common.wire_formats.task_event import (
    TaskEvent,
    encode_task_event,
    ending_of,
    progress_of,
    start_of,
)
from frontend_api.webhooks.delivery_log import MAX_DELIVERIES_KEPT, MAX_TRIES_KEPT, Outcome, WebhookLog
from frontend_api.webhooks.retry_schedule import RetrySchedule
from tests.factories import claim_of
from tests.recorded_telemetry import RecordedSpans
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.dead_letters.test_routes import envelope

URL = "https://hooks.example.com/darkroom?team=a"
REFUSED = Outcome(status=500, duration_seconds=0.5)


def push(api: Api, body: bytes) -> TestResponse:
    """Push an event as Pub/Sub does."""
    return api.call_internal("events", envelope(body, died_at=api.clock.now()))


def push_of(api: Api, task: Task) -> TestResponse:
    return push(api, encode_task_event(ending_of(task)))


def completed(api: Api, **changes: Any) -> Task:
    return api.completed_task(**{"callback_url": URL, **changes})


def deliveries_of(api: Api, task: Task) -> Any:
    answer = api.client.get(f"/v1/tasks/{task.id}/webhook-deliveries")
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def delete(api: Api, task: Task) -> None:
    assert api.app.test_client().delete(f"/v1/tasks/{task.id}").status_code == 204


def expire(api: Api, task: Task) -> None:
    assert task.expires_at is not None
    api.clock.advance((task.expires_at - api.clock.now()).total_seconds() + 1)
    assert api.call_internal("remove-expired").get_json() == {"removed": 1}


@pytest.mark.parametrize("removal", [delete, expire])
@pytest.mark.parametrize("outcome", [Outcome(status=200), REFUSED], ids=["delivered", "refused"])
def test_no_log_remains_of_a_task_deleted_during_a_try(
    api: Api, removal: Callable[[Api, Task], None], outcome: Outcome
) -> None:
    task = completed(api)
    api.receiver.outcomes = [outcome]
    api.receiver.meanwhile = lambda: removal(api, task)
    push_of(api, task)
    assert len(api.receiver.sent) == 1
    assert (api.store.all_tasks, api.webhook_logs.all_logs) == ((), ())


@pytest.mark.parametrize("removal", [delete, expire])
def test_no_log_remains_of_a_try_made_during_the_deletion(
    api: Api, removal: Callable[[Api, Task], None]
) -> None:
    """Before each step of the deletion, a whole try is made."""
    task = completed(api)
    pushed: list[int] = []

    in_a_try: list[bool] = []

    def after_a_try(step: Callable[..., Any]) -> Callable[..., Any]:
        def tried_first(*given: Any, **named: Any) -> Any:
            if not in_a_try:  # else it is a step of the try itself
                in_a_try.append(True)
                pushed.append(push_of(api, task).status_code)
                in_a_try.clear()
            return step(*given, **named)

        return tried_first

    for steps, name in (
        (api.images, "remove_folder"),
        (api.webhook_logs, "delete"),
        (api.store, "delete"),
        (api.store, "delete_unchanged"),
    ):
        setattr(steps, name, after_a_try(getattr(steps, name)))
    removal(api, task)
    assert len(pushed) >= 3
    assert set(pushed) == {204}
    assert (api.store.all_tasks, api.webhook_logs.all_logs) == ((), ())


def test_log_of_a_deleted_task_is_removed_by_the_redelivery(api: Api) -> None:
    """The try could not find out whether the task was deleted, as when its process dies."""
    task = completed(api)

    def deleted_and_unreachable() -> None:
        delete(api, task)
        api.store.unavailable = True

    api.receiver.meanwhile = deleted_and_unreachable
    assert push_of(api, task).status_code == 503
    assert len(api.webhook_logs.all_logs) == 1
    api.store.unavailable = False
    assert push_of(api, task).status_code == 204
    assert not api.webhook_logs.all_logs


def retry(api: Api) -> Any:
    """Run the retries once, and return their result."""
    answer = api.call_internal("retry-webhooks")
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def replay(api: Api, task: Task, number: int = 1) -> TestResponse:
    return api.client.post(f"/v1/tasks/{task.id}/webhook-deliveries/{number}/replay")


def secrets_of(api: Api, user_id: str = "local") -> list[str]:
    answer = api.client.get("/v1/webhook-secrets", headers=signed_in_as(user_id))
    assert answer.status_code == 200, answer.text
    return [one["secret"] for one in answer.get_json()["secrets"]]


def at_present(api: Api) -> None:
    """Set the API's clock to the real time: the verification of a signature checks the time, too."""
    api.clock.advance((datetime.now(api.clock.now().tzinfo) - api.clock.now()).total_seconds())


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────


def test_finished_event_contains_the_task_as_its_owner_reads_it(api: Api) -> None:
    task = completed(api)
    assert push_of(api, task).status_code == 204
    (sent,) = api.receiver.sent
    assert (sent.url.host, sent.url.port, sent.url.target) == ("hooks.example.com", 443, "/darkroom?team=a")
    body = json.loads(sent.body)
    event = ending_of(task)
    assert body["type"] == "task.completed"
    assert datetime.fromisoformat(body["timestamp"]) == event.timestamp
    assert body["data"] == api.client.get(f"/v1/tasks/{task.id}").get_json()
    assert sent.headers["webhook-id"] == event.id


def test_webhook_body_matches_the_openapi_document(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    RecordedSpans(monkeypatch)  # an API whose spans have ids
    push_of(api, completed(api))
    (sent,) = api.receiver.sent
    document = api.client.get("/openapi.json").get_json()
    described = document["webhooks"]["taskEvent"]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(json.loads(sent.body))
    assert {header["name"] for header in described["parameters"]} == set(sent.headers)


def test_event_is_not_sent_without_a_callback_url(api: Api) -> None:
    assert push_of(api, api.completed_task()).status_code == 204
    assert not api.receiver.sent


def test_repeated_event_is_delivered_once(api: Api) -> None:
    task = completed(api)
    for _ in range(3):
        assert push_of(api, task).status_code == 204
    assert len(api.receiver.sent) == 1


def test_event_of_a_deleted_task_is_not_sent(api: Api) -> None:
    task = completed(api)
    api.store.delete(task.id, now=api.clock.now())
    assert push_of(api, task).status_code == 204
    assert not api.receiver.sent


def test_final_event_is_not_sent_when_a_retry_replaced_it(api: Api) -> None:
    task = api.stored_task(callback_url=URL)
    first = api.store.update(task.id, lambda t: t.cancelled(api.clock.now()))
    api.clock.advance(1)
    api.store.update(task.id, lambda t: t.resubmitted(api.clock.now()))
    assert push_of(api, first).status_code == 204
    second = api.store.update(task.id, lambda t: t.cancelled(api.clock.now()))
    assert push_of(api, first).status_code == 204
    assert not api.receiver.sent
    assert push_of(api, second).status_code == 204
    assert api.receiver.sent[0].headers["webhook-id"] == ending_of(second).id


@pytest.mark.parametrize("body", [b"", b"junk", b"{}", b'{"version": "2.0"}'])
def test_undecodable_event_is_acknowledged(api: Api, body: bytes) -> None:
    assert push(api, body).status_code == 204
    assert not api.receiver.sent


def test_event_that_does_not_match_the_task_is_not_sent(api: Api) -> None:
    task = completed(api)
    claimed = TaskEvent(
        id="made-up", type="task.failed", timestamp=api.clock.now(), task_id=task.id, user_id="eve", attempt=9
    )
    assert push(api, encode_task_event(claimed)).status_code == 204
    assert not api.receiver.sent


def test_subscribed_progress_events_are_sent(api: Api) -> None:
    task = api.claimed_task(callback_url=URL, callback_events=("started", "progress"))
    started, progress = encode_task_event(start_of(task)), encode_task_event(progress_of(task))
    for body in (started, progress, started):
        assert push(api, body).status_code == 204
    bodies = [json.loads(sent.body) for sent in api.receiver.sent]
    assert [(one["type"], one["data"]["status"]) for one in bodies] == [
        ("task.started", "processing"),
        ("task.progress", "processing"),
    ]
    ended = api.store.update(task.id, lambda t: t.cancelled_by_holder(claim_of(t), api.clock.now()))
    late = encode_task_event(progress_of(replace(task, progress=replace(task.progress, step=9))))
    for body in (late, encode_task_event(ending_of(ended))):  # no longer true, and not requested
        assert push(api, body).status_code == 204
    assert len(api.receiver.sent) == 2


def test_unsubscribed_progress_events_are_not_sent(api: Api) -> None:
    task = api.claimed_task(callback_url=URL)
    for event in (start_of(task), progress_of(task)):
        assert push(api, encode_task_event(event)).status_code == 204
    assert not api.receiver.sent


def test_event_of_a_past_attempt_is_not_sent(api: Api) -> None:
    task = api.claimed_task(callback_url=URL, callback_events=("started",))
    api.clock.advance(61)
    again = api.store.update(task.id, lambda t: t.claimed_by("w", api.clock.now(), timedelta(seconds=60)))
    assert push(api, encode_task_event(start_of(task))).status_code == 204
    assert not api.receiver.sent
    assert push(api, encode_task_event(start_of(again))).status_code == 204
    assert len(api.receiver.sent) == 1


# ── answers of receivers ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_status_is_a_success(api: Api, status: int) -> None:
    api.receiver.outcomes = [Outcome(status=status)]
    task = completed(api)
    assert push_of(api, task).status_code == 204
    assert deliveries_of(api, task)["deliveries"][0]["state"] == "delivered"


@pytest.mark.parametrize(
    "outcome",
    [Outcome(status=status) for status in (100, 300, 301, 307, 400, 404, 429, 500, 503)]
    + [Outcome(error="the receiver did not answer in time", duration_seconds=15.0)],
)
def test_every_other_result_is_retried(api: Api, outcome: Outcome) -> None:
    api.receiver.outcomes = [outcome, outcome]
    task = completed(api)
    assert push_of(api, task).status_code == 204  # an error would delay the events of all callers
    for _ in range(2):
        assert deliveries_of(api, task)["deliveries"][0]["state"] == "pending"
        api.clock.advance(30)
        assert retry(api) == {"tried": 1, "left": 0}
    assert deliveries_of(api, task)["deliveries"][0]["state"] == "delivered"
    assert retry(api) == {"tried": 0, "left": 0}
    assert len({sent.headers["webhook-id"] for sent in api.receiver.sent}) == 1
    assert len(api.receiver.sent) == 3


def test_status_410_stops_all_events_of_the_task_only(api: Api) -> None:
    api.receiver.outcomes = [Outcome(status=410)]
    task = api.stored_task(callback_url=URL)
    ended = api.store.update(task.id, lambda t: t.cancelled(api.clock.now()))
    assert push_of(api, ended).status_code == 204
    api.store.update(task.id, lambda t: t.resubmitted(api.clock.now()))
    api.clock.advance(1)
    again = api.store.update(task.id, lambda t: t.cancelled(api.clock.now()))
    assert push_of(api, again).status_code == 204
    assert len(api.receiver.sent) == 1
    log = deliveries_of(api, task)
    assert log["stopped_at"] is not None
    assert [one["state"] for one in log["deliveries"]] == ["stopped"]
    assert push_of(api, completed(api, task_id="another")).status_code == 204
    assert len(api.receiver.sent) == 2


# ── signatures and secrets ───────────────────────────────────────────────────────────────────────────────


def test_signature_verifies_with_the_standard_library(api: Api) -> None:
    at_present(api)
    task = completed(api)
    push_of(api, task)
    (sent,) = api.receiver.sent
    (secret,) = secrets_of(api)
    assert secret.startswith("whsec_")
    assert Webhook(secret).verify(sent.body, dict(sent.headers))["data"]["id"] == task.id
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(sent.body.replace(b"completed", b"failed"), dict(sent.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets_of(api, "somebody else")[0]).verify(sent.body, dict(sent.headers))


def test_either_of_two_secrets_verifies_during_a_rotation(api: Api) -> None:
    at_present(api)
    (old,) = secrets_of(api)
    rotated = api.client.post("/v1/webhook-secrets/rotate").get_json()["secrets"]
    new = rotated[0]["secret"]
    assert [one["secret"] for one in rotated] == [new, old] == secrets_of(api)
    assert (rotated[0]["expires_at"], rotated[1]["expires_at"] is not None) == (None, True)
    push_of(api, completed(api))
    (sent,) = api.receiver.sent
    for secret in (new, old):
        Webhook(secret).verify(sent.body, dict(sent.headers))


def test_previous_secret_expires_a_day_after_a_rotation(api: Api) -> None:
    (old,) = secrets_of(api)
    api.client.post("/v1/webhook-secrets/rotate")
    api.clock.advance(24 * 3_600 - 1)
    assert old in secrets_of(api)
    api.clock.advance(1)
    assert len(secrets_of(api)) == 1
    assert old not in secrets_of(api)


def test_second_rotation_invalidates_all_earlier_secrets(api: Api) -> None:
    (leaked,) = secrets_of(api)
    for _ in range(2):
        api.client.post("/v1/webhook-secrets/rotate")
    assert len(secrets_of(api)) == 2
    assert leaked not in secrets_of(api)


def test_every_caller_has_own_stable_secrets(api: Api) -> None:
    assert secrets_of(api) == secrets_of(api)
    assert secrets_of(api) != secrets_of(api, "ada")
    api.client.post("/v1/webhook-secrets/rotate", headers=signed_in_as("ada"))
    assert len(secrets_of(api)) == 1
    assert len(secrets_of(api, "ada")) == 2


def test_another_deployment_key_derives_other_secrets(api: Api) -> None:
    other = Api(folder=api.folder, webhook_key=b"another deployment's")
    assert secrets_of(other) != secrets_of(api)


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_attempt_is_logged(api: Api) -> None:
    api.receiver.outcomes = [
        Outcome(error="the receiver did not answer in time", duration_seconds=15.0),
        Outcome(status=503, duration_seconds=0.1),
        Outcome(status=204, duration_seconds=0.2),
    ]
    task = completed(api)
    began = api.clock.now()
    push_of(api, task)
    for _ in range(2):
        api.clock.advance(30)
        retry(api)
    (delivery,) = deliveries_of(api, task)["deliveries"]
    event = ending_of(task)
    assert {
        name: delivery[name] for name in ("number", "event_id", "type", "url", "state", "tries_made")
    } == {
        "number": 1,
        "event_id": event.id,
        "type": "task.completed",
        "url": URL,
        "state": "delivered",
        "tries_made": 3,
    }
    tries = delivery["tries"]
    assert [(t["status"], t["error"], t["duration_seconds"]) for t in tries] == [
        (None, "the receiver did not answer in time", 15.0),
        (503, None, 0.1),
        (204, None, 0.2),
    ]
    assert [datetime.fromisoformat(t["at"]) - began for t in tries] == [
        timedelta(seconds=s) for s in (0, 30, 60)
    ]
    assert datetime.fromisoformat(delivery["delivered_at"]) == began + timedelta(seconds=60)


def test_log_keeps_the_latest_attempts_and_counts_all(api: Api) -> None:
    task = completed(api)
    api.receiver.outcomes = [REFUSED] * (MAX_TRIES_KEPT + 5)
    push_of(api, task)
    for _ in range(MAX_TRIES_KEPT + 4):
        api.clock.advance(600)
        retry(api)
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["tries_made"], len(delivery["tries"])) == (MAX_TRIES_KEPT + 5, MAX_TRIES_KEPT)


def test_log_keeps_the_latest_deliveries_and_continues_their_numbers(api: Api) -> None:
    task = api.claimed_task(callback_url=URL, callback_events=("progress",))
    for step in range(MAX_DELIVERIES_KEPT + 3):
        further = replace(task, progress=replace(task.progress, step=step))
        assert push(api, encode_task_event(progress_of(further))).status_code == 204
    numbers = [delivery["number"] for delivery in deliveries_of(api, task)["deliveries"]]
    assert numbers == list(range(4, MAX_DELIVERIES_KEPT + 4))


def test_log_of_many_failed_deliveries_fits_into_a_document() -> None:
    """And each request that reads it takes little time. A document of Firestore may have 1 MiB."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    log = WebhookLog(task_id="task")
    failed = Outcome(error="x" * 200)
    for _ in range(MAX_TRIES_KEPT):
        for number in range(MAX_DELIVERIES_KEPT):
            event = TaskEvent(
                id=str(number), type="task.progress", timestamp=at, task_id="task", user_id="ada", attempt=1
            )
            log = log.tried(event, url=URL, at=at, outcome=failed, schedule=RetrySchedule(), expires_at=at)
    assert {delivery.tries_made for delivery in log.deliveries} == {MAX_TRIES_KEPT}
    assert {len(delivery.tries) for delivery in log.deliveries} == {4}


def test_event_is_pushed_again_when_the_log_cannot_be_written(api: Api) -> None:
    task = completed(api)
    api.webhook_logs.unavailable = True
    assert push_of(api, task).status_code == 503
    api.webhook_logs.unavailable = False
    assert push_of(api, task).status_code == 204


def test_log_is_empty_without_deliveries_and_hidden_from_others(api: Api) -> None:
    task = completed(api)
    assert deliveries_of(api, task) == {"deliveries": [], "stopped_at": None}
    push_of(api, task)
    for method, path in (("GET", ""), ("POST", "/1/replay")):
        answer = api.client.open(
            f"/v1/tasks/{task.id}/webhook-deliveries{path}", method=method, headers=signed_in_as("eve")
        )
        assert (answer.status_code, answer.get_json()["code"]) == (404, "task_not_found")


def test_log_is_deleted_with_its_task(api: Api) -> None:
    deleted, expired = completed(api, task_id="deleted"), completed(api, task_id="expired")
    push_of(api, deleted)
    push_of(api, expired)
    assert {log.expires_at for log in api.webhook_logs.all_logs} == {deleted.expires_at}
    api.client.delete(f"/v1/tasks/{deleted.id}")
    assert [log.task_id for log in api.webhook_logs.all_logs] == [expired.id]
    api.clock.advance(31 * 86_400)
    api.call_internal("remove-expired")
    assert not api.webhook_logs.all_logs


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────


def test_replay_sends_a_delivered_event_again_with_its_id(api: Api) -> None:
    task = completed(api)
    push_of(api, task)
    answer = replay(api, task)
    assert (answer.status_code, answer.get_json()["state"]) == (202, "pending")
    (event,) = api.events.events
    assert event == ending_of(task)
    for _ in range(2):
        assert push(api, encode_task_event(event)).status_code == 204
    assert [sent.headers["webhook-id"] for sent in api.receiver.sent] == [event.id] * 2
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["tries_made"]) == ("delivered", 2)


def test_delivery_is_abandoned_after_a_day_and_replayed_on_request(api: Api) -> None:
    task = completed(api)
    api.receiver.outcomes = [REFUSED] * 4
    push_of(api, task)
    api.clock.advance(24 * 3_600 - 1)
    retry(api)
    assert deliveries_of(api, task)["deliveries"][0]["state"] == "pending"
    api.clock.advance(600)
    retry(api)
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["retry_at"]) == ("abandoned", None)
    push_of(api, task)
    api.clock.advance(600)
    assert retry(api) == {"tried": 0, "left": 0}
    assert replay(api, task).get_json()["state"] == "pending"
    assert retry(api) == {"tried": 1, "left": 0}  # a day begins again
    api.clock.advance(30)
    assert retry(api) == {"tried": 1, "left": 0}
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["tries_made"]) == ("delivered", 5)


def test_delivery_to_a_refused_url_is_abandoned_at_once(api: Api) -> None:
    """The policy may have changed since the submission."""
    task = completed(api, callback_url="https://10.0.0.7/hook")
    with capture_logs() as logs:
        assert push_of(api, task).status_code == 204
    (refusal,) = [each for each in logs if each["event"] == "callback_refused"]
    assert (refusal["task_id"], "not a public address" in refusal["reason"]) == (task.id, True)
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["tries"][0]["error"]) == ("abandoned", refusal["reason"])
    assert replay(api, task).get_json()["state"] == "pending"
    assert push_of(api, task).status_code == 204
    assert deliveries_of(api, task)["deliveries"][0]["tries_made"] == 2
    assert not api.receiver.sent


def test_delivery_to_a_refused_address_is_abandoned_at_once(api: Api) -> None:
    api.receiver.outcomes = [Outcome(error="the callback URL leads to 10.0.0.7", is_final=True)]
    task = completed(api)
    assert push_of(api, task).status_code == 204
    assert deliveries_of(api, task)["deliveries"][0]["state"] == "abandoned"


def test_replay_resumes_after_a_410(api: Api) -> None:
    api.receiver.outcomes = [Outcome(status=410)]
    task = completed(api)
    push_of(api, task)
    assert replay(api, task).status_code == 202
    push_of(api, task)
    assert deliveries_of(api, task)["deliveries"][0]["state"] == "delivered"


def test_replay_is_sent_when_publishing_fails(api: Api) -> None:
    task = completed(api)
    push_of(api, task)
    api.events.failures_left = 1
    assert replay(api, task).status_code == 202
    assert api.events.events == []
    assert retry(api) == {"tried": 1, "left": 0}
    assert deliveries_of(api, task)["deliveries"][0]["tries_made"] == 2


def test_each_replay_is_at_most_one_try(api: Api) -> None:
    """A caller could otherwise have a receiver that refuses an event called without end."""
    task = completed(api)
    api.receiver.outcomes = [REFUSED] * 10
    push_of(api, task)
    for tries in (2, 3):
        assert replay(api, task).status_code == 202
        for _ in range(2):  # the replay's message, and a second delivery of it
            push_of(api, task)
        retry(api)
        assert len(api.receiver.sent) == tries


def test_missing_or_outdated_delivery_is_not_replayed(api: Api) -> None:
    task = api.stored_task(callback_url=URL)
    ended = api.store.update(task.id, lambda t: t.cancelled(api.clock.now()))
    push_of(api, ended)
    for number in (0, 2, 10**30):
        answer = replay(api, task, number)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "webhook_delivery_not_found")
    api.store.update(task.id, lambda t: t.resubmitted(api.clock.now()))
    answer = replay(api, task)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "webhook_outdated")


# ── allowed addresses ────────────────────────────────────────────────────────────────────────────────────


def test_callback_url_is_stored_and_part_of_the_request(api: Api) -> None:
    key = {"Idempotency-Key": "once"}
    body = {
        "prompt": "a red circle",
        "callback_url": URL,
        "callback_events": ["finished", "started", "started"],
    }
    task = api.client.post("/v1/tasks", json=body, headers=key).get_json()
    assert (task["callback_url"], api.stored(task["id"]).callback_url) == (URL, URL)
    assert api.client.post("/v1/tasks", json=body, headers=key).status_code == 200
    assert task["callback_events"] == ["finished", "started"]
    for change in ({"callback_url": f"{URL}&b"}, {"callback_events": ["finished"]}):
        other = api.client.post("/v1/tasks", json={**body, **change}, headers=key)
        assert other.get_json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("callback_url", "http://hooks.example.com/"),
        ("callback_url", "https://127.0.0.1/"),
        ("callback_url", "https://[::1]/"),
        ("callback_url", "https://169.254.169.254/computeMetadata/v1/"),
        ("callback_url", "https://user:password@example.com/"),
        ("callback_url", "x" * 3_000),
        ("callback_url", 7),
        ("callback_events", []),
        ("callback_events", ["everything"]),
        ("callback_events", "finished"),
    ],
)
def test_forbidden_callback_url_is_refused_at_submission(api: Api, field: str, value: object) -> None:
    answer = api.submit(**{"callback_url": URL, field: value})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "parameters_rejected")
    assert answer.get_json()["errors"][0]["pointer"].startswith(f"/{field}")
    assert api.has_taken_nothing()


def test_webhooks_are_refused_without_a_deployment_key(api: Api) -> None:
    without = Api(folder=api.folder, webhook_key=None)
    refused = without.submit(callback_url=URL)
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/callback_url")
    for call in (
        without.client.get("/v1/webhook-secrets"),
        without.client.post("/v1/webhook-secrets/rotate"),
    ):
        assert (call.status_code, call.get_json()["code"]) == (404, "webhooks_not_offered")
    assert without.submit().status_code == 202


# ── concurrent deliveries ────────────────────────────────────────────────────────────────────────────────


def test_hanging_receiver_does_not_delay_others(api: Api) -> None:
    silent = [completed(api, task_id=f"silent-{number}") for number in range(3)]
    other = completed(api, task_id="other", callback_url="https://alive.example.com/")
    api.receiver.answers.clear()
    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(push_of, api, task) for task in silent[:2]]
        for _ in held:
            assert api.receiver.arrived.acquire(timeout=60)
        assert push_of(api, silent[2]).status_code == 204
        (postponed,) = deliveries_of(api, silent[2])["deliveries"]
        assert (postponed["state"], postponed["tries_made"]) == ("pending", 0)
        third = pool.submit(push_of, api, other)
        assert api.receiver.arrived.acquire(timeout=60)
        api.receiver.answers.set()
        assert [one.result(60).status_code for one in (*held, third)] == [204] * 3
    api.clock.advance(30)
    assert retry(api) == {"tried": 1, "left": 0}
    (delivery,) = deliveries_of(api, silent[2])["deliveries"]
    assert (delivery["state"], delivery["tries_made"]) == ("delivered", 1)


def test_events_of_one_caller_wait_for_each_other_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes of one caller's logs are slow, for example because they all change the document of its turn."""
    of_eve = [
        completed(api, user_id="eve", task_id=f"eve-{number}") for number in range(api.requests_at_once)
    ]
    of_bob = completed(api, user_id="bob", task_id="bob")
    waiting, goes_on, update = threading.Semaphore(0), threading.Event(), api.webhook_logs.update

    def slow(task_id: str, *given: Any, **named: Any) -> WebhookLog:
        if task_id.startswith("eve"):
            waiting.release()
            assert goes_on.wait(30)
        return update(task_id, *given, **named)

    monkeypatch.setattr(api.webhook_logs, "update", slow)
    with ThreadPoolExecutor(len(of_eve) + 1) as pool:
        pushes = [pool.submit(push_of, api, task) for task in of_eve]
        for _ in range(api.requests_at_once // 8):
            assert waiting.acquire(timeout=30)
        try:
            assert pool.submit(push_of, api, of_bob).result(timeout=30).status_code == 204
        finally:
            goes_on.set()
        assert {one.result(30).status_code for one in pushes} == {204}


def test_two_concurrent_pushes_of_one_event_are_both_logged(api: Api) -> None:
    task = completed(api)
    api.receiver.answers.clear()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(push_of, api, task) for _ in range(2)]
        for _ in both:
            assert api.receiver.arrived.acquire(timeout=60)
        api.receiver.outcomes = [REFUSED]
        api.receiver.answers.set()
        assert {one.result(60).status_code for one in both} == {204}
    api.clock.advance(600)
    assert retry(api) == {"tried": 0, "left": 0}
    (delivery,) = deliveries_of(api, task)["deliveries"]
    assert (delivery["state"], delivery["tries_made"]) == ("delivered", 2)
