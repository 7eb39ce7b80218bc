"""Quotas per caller, submission rates, the limit of the queue; and their headers in the answers."""

import re
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from frontend_api.quotas.limits import QuotaLimits
from tests.unit.frontend_api.conftest import Api, signed_in_as

BOB = signed_in_as("bob")


def limited(folder: Path, **limits: int) -> Api:
    return Api(folder=folder, quota_limits=QuotaLimits(**limits))


def submit(api: Api, key: str | None = None, headers: dict[str, str] | None = None) -> TestResponse:
    keyed = {} if key is None else {"Idempotency-Key": key}
    return api.client.post("/v1/tasks", json={"prompt": "a circle"}, headers={**keyed, **(headers or {})})


def refusal(answer: TestResponse) -> tuple[int, str, str, bool]:
    body = answer.get_json()
    return answer.status_code, body["code"], answer.headers["Retry-After"], body["retryable"]


def left(answer: TestResponse) -> dict[str, int]:
    """Return the remaining amount by policy.

    The header is a list of strings with parameters (RFC 9651).
    """
    items = re.findall(r'"([a-z-]+)";r=(\d+)(?:;t=\d+)?(?:, |$)', answer.headers["RateLimit"])
    return {policy: int(remaining) for policy, remaining in items}


def test_submission_is_rejected_at_the_limit_of_active_tasks(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=3)
    ids = [submit(api).get_json()["id"] for _ in range(3)]
    assert refusal(submit(api)) == (429, "quota_exceeded", "10", True)
    assert len(api.store.all_tasks) == len(api.queue.published) == 3
    assert submit(api, headers=BOB).status_code == 202
    api.client.post(f"/v1/tasks/{ids[0]}/cancel")
    api.clock.advance(1)
    assert submit(api).status_code == 202


def test_processing_tasks_count_as_active(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=1)
    task = api.claimed_task()
    assert submit(api).status_code == 202  # each process starts with its own share
    api.client.delete(f"/v1/tasks/{api.store.all_tasks[-1].id}")
    assert submit(api).status_code == 429
    assert api.stored(task.id).status == "processing"


def test_submission_is_rejected_at_the_rate_limit(tmp_path: Path) -> None:
    api = limited(tmp_path, submissions_per_minute=5)
    api.clock.advance(20)
    assert [submit(api).status_code for _ in range(6)] == [202] * 5 + [429]
    assert refusal(submit(api)) == (429, "quota_exceeded", "40", True)
    api.clock.advance(39)
    assert refusal(submit(api))[2] == "1"
    api.clock.advance(1)
    assert submit(api).status_code == 202


def test_deleted_tasks_count_against_the_rate_limit(tmp_path: Path) -> None:
    api = limited(tmp_path, submissions_per_minute=5)
    for _ in range(5):
        api.client.delete(f"/v1/tasks/{submit(api).get_json()['id']}")
    api.clock.advance(2)
    assert submit(api).status_code == 429


def test_full_queue_rejects_all_callers(tmp_path: Path) -> None:
    api = limited(tmp_path, queued_tasks=4)
    assert [submit(api).status_code for _ in range(2)] == [202, 202]
    assert [submit(api, headers=BOB).status_code for _ in range(3)] == [202, 202, 429]
    assert refusal(submit(api)) == (429, "queue_full", "30", True)
    waiting = api.store.all_tasks[0]
    api.client.post(f"/v1/tasks/{waiting.id}/cancel")
    api.clock.advance(1)
    assert submit(api, headers=BOB).status_code == 202


@pytest.mark.parametrize(
    "limits", [{"active_tasks": 1}, {"submissions_per_minute": 1}, {"queued_tasks": 1}], ids=str
)
def test_replay_is_accepted_when_limits_are_reached(tmp_path: Path, limits: dict[str, int]) -> None:
    api = limited(tmp_path, **limits)
    first = submit(api, key="order-1815")
    assert first.status_code == 202
    for _ in range(3):
        replayed = submit(api, key="order-1815")
        assert (replayed.status_code, replayed.get_json()["id"]) == (200, first.get_json()["id"])
    assert submit(api, key="order-1816").status_code == 429
    different = api.client.post(
        "/v1/tasks", json={"prompt": "a square"}, headers={"Idempotency-Key": "order-1815"}
    )
    assert (different.status_code, different.get_json()["code"]) == (422, "idempotency_key_reused")


def test_replay_takes_no_quota(tmp_path: Path) -> None:
    api = limited(tmp_path, submissions_per_minute=20, active_tasks=20)
    before = left(submit(api, key="order-1815"))
    for _ in range(10):
        assert left(submit(api, key="order-1815")) == before


def test_rejected_submission_takes_no_quota(tmp_path: Path) -> None:
    api = limited(tmp_path, submissions_per_minute=20, active_tasks=20)
    before = left(submit(api))
    assert left(api.submit(steps=0)) == before
    api.store.unavailable = True
    assert submit(api).status_code == 503
    api.store.unavailable = False
    assert left(api.client.get("/v1/models")) == before


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks:batch", "/v1/tasks:estimate"])
@pytest.mark.parametrize("body", [b"x", b'{"prompt": "a", "steps": 0}', b'{"tasks": [{"prompt": ""}]}'])
def test_rejected_submissions_are_limited_before_parsing(tmp_path: Path, path: str, body: bytes) -> None:
    api = limited(tmp_path, refused_per_minute=3)
    sent = [api.client.post(path, data=body, content_type="application/json") for _ in range(4)]
    assert [answer.status_code == 429 for answer in sent] == [False, False, False, True]
    assert refusal(sent[-1]) == (429, "quota_exceeded", "60", True)
    assert left(sent[-1]) == {"refused-submissions": 0}
    assert submit(api).status_code == 429
    assert submit(api, headers=BOB).status_code == 202
    api.clock.advance(60)
    assert submit(api).status_code == 202


def test_accepted_submissions_do_not_count_as_rejected(tmp_path: Path) -> None:
    api = limited(tmp_path, refused_per_minute=1)
    assert [submit(api, key="order-1815").status_code for _ in range(3)] == [202, 200, 200]


def test_retry_counts_as_active(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=2)
    ended = submit(api).get_json()["id"]
    api.client.post(f"/v1/tasks/{ended}/cancel")
    assert api.client.post(f"/v1/tasks/{ended}/retry").status_code == 202
    api.client.post(f"/v1/tasks/{ended}/cancel")
    api.clock.advance(1)
    assert [submit(api).status_code for _ in range(2)] == [202, 202]
    assert refusal(api.client.post(f"/v1/tasks/{ended}/retry"))[1] == "quota_exceeded"
    assert api.stored(ended).status == "cancelled"


def test_cancelling_and_retrying_publishes_no_more_than_submissions(tmp_path: Path) -> None:
    api = limited(tmp_path, submissions_per_minute=5)
    task_id = submit(api).get_json()["id"]
    retries = []
    for _ in range(6):
        assert api.client.post(f"/v1/tasks/{task_id}/cancel").status_code == 200
        retries.append(api.client.post(f"/v1/tasks/{task_id}/retry"))
    assert [retry.status_code for retry in retries] == [202] * 4 + [429] * 2
    assert refusal(retries[-1]) == (429, "quota_exceeded", "60", True)
    assert left(retries[-1])["submissions"] == 0
    assert submit(api).status_code == 429
    assert len(api.queue.published) == 5
    api.clock.advance(60)
    assert api.client.post(f"/v1/tasks/{task_id}/retry").status_code == 202


def test_rejected_retry_takes_no_quota(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=2, submissions_per_minute=2)
    task_id = submit(api).get_json()["id"]
    for _ in range(5):
        assert api.client.post(f"/v1/tasks/{task_id}/retry").status_code == 409
    assert submit(api).status_code == 202


def test_quotas_rarely_count_in_the_store(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=500, submissions_per_minute=600, queued_tasks=20_000)
    counts = ("active_of", "submitted_by", "queued")
    for _ in range(50):
        submit(api)
    assert sum(api.stats.calls[name] for name in counts) == 0
    for _ in range(250):
        submit(api)
    assert sum(api.stats.calls[name] for name in counts) <= 9


def test_submission_returns_503_without_firestore(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=5)
    submit(api)
    api.stats.unavailable = True
    refused = submit(api)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "dependency_unavailable")


ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/v1/tasks", {}),
    ("POST", "/v1/tasks", {"json": {"prompt": "a circle"}}),
    ("POST", "/v1/tasks", {"json": {"prompt": ""}}),
    ("POST", "/v1/tasks", {"data": "x"}),
    ("GET", "/v1/tasks/unknown", {}),
    ("GET", "/v1/models", {}),
    ("GET", "/v1/dead-letters", {}),
    ("GET", "/v1/keys", {}),
]


@pytest.mark.parametrize(("method", "path", "sent"), ASKED)
def test_every_response_has_rate_limit_headers(
    tmp_path: Path, method: str, path: str, sent: dict[str, Any]
) -> None:
    api = limited(tmp_path, active_tasks=50, submissions_per_minute=60)
    api.clock.advance(15)
    answer = api.client.open(path, method=method, **sent)
    assert answer.headers["RateLimit-Policy"] == (
        '"submissions";q=60;w=60, "active-tasks";q=50;qu="concurrent-requests"'
    )
    taken = 1 if answer.status_code == 202 else 0
    if path != "/v1/dead-letters":  # this caller is not an operator, so the route does not exist
        assert (
            answer.headers["RateLimit"] == f'"submissions";r={60 - taken};t=45, "active-tasks";r={50 - taken}'
        )


def test_unauthenticated_responses_have_no_remaining_quota(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=50)
    answer = api.client.get("/v1/tasks", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401
    assert "RateLimit-Policy" in answer.headers
    assert "RateLimit" not in answer.headers


def test_rate_limit_headers_are_absent_without_limits(api: Api) -> None:
    answer = submit(api)
    assert answer.status_code == 202
    assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers.keys())
    assert "RateLimit-Policy" not in api.client.get("/healthz").headers


def test_document_has_rate_limit_headers_of_every_response(api: Api) -> None:
    document = api.client.get("/openapi.json").get_json()
    assert {"RateLimit", "RateLimit-Policy"} <= document["components"]["headers"].keys()
    for path, verbs in document["paths"].items():
        for verb in verbs.values():
            for answer in verb["responses"].values():
                has_headers = {"RateLimit", "RateLimit-Policy"} <= answer.get("headers", {}).keys()
                assert has_headers == path.startswith(("/v1/", "/openai/v1/"))


def test_operators_replay_ignores_the_owners_quota(tmp_path: Path) -> None:
    api = limited(tmp_path, active_tasks=1, submissions_per_minute=2)
    ended = submit(api).get_json()["id"]
    api.client.post(f"/v1/tasks/{ended}/cancel")
    submit(api)
    retried = api.dependencies.dead_letters.replay.retry_task("local", ended)
    assert retried.status == "queued"
    assert left(api.client.get("/v1/tasks")) == {"active-tasks": 0, "submissions": 0}


def test_each_20_tasks_of_a_list_count_as_a_request(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_per_minute=100)
    for number in range(45):
        api.stored_task(task_id=f"task-{number}")

    def remaining(path: str) -> int:
        return left(api.client.get(path))["requests"]

    assert remaining("/v1/tasks?page_size=20") == 99
    assert remaining("/v1/tasks?page_size=21") == 97
    assert remaining("/v1/tasks?page_size=100") == 94
    assert remaining("/v1/tasks?status=failed&page_size=100") == 93
    stream = api.client.get("/v1/tasks:events?count=50")
    for chunk in stream.iter_encoded():
        if chunk.startswith(b"event: complete"):
            break
    stream.close()
    assert remaining("/v1/models") == 89
    closed_early = api.client.get("/v1/tasks:events?count=50")
    for number, _chunk in enumerate(closed_early.iter_encoded()):
        if number == 21:  # after the head and 20 tasks
            break
    closed_early.close()
    assert remaining("/v1/models") == 86


def test_requests_of_one_caller_are_limited_per_minute(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_per_minute=3)
    api.clock.advance(20)
    answers = [api.client.get(path) for path in ("/v1/tasks", "/v1/queue", "/v1/tasks/unknown", "/v1/models")]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 429]
    assert refusal(answers[-1]) == (429, "quota_exceeded", "40", True)
    assert [left(answer)["requests"] for answer in answers] == [2, 1, 0, 0]
    assert submit(api).status_code == 429
    assert submit(api, headers=BOB).status_code == 202
    assert api.client.get("/healthz").status_code == 200
    api.clock.advance(40)
    assert submit(api).status_code == 202
