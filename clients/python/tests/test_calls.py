"""One call: retries, exceptions and credentials."""

import httpx
import pytest

from darkroom.errors import (
    ConflictError,
    ParametersRejectedError,
    TooManyRequestsError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
    problem_error,
)
from darkroom.models.task import Task
from darkroom.models.webhook import WebhookSecrets
from darkroom.resources.account import create_key
from darkroom.resources.tasks import get
from scripted import ScriptedApi, problem, reply, task_json

KEY = {
    "id": "k1", "name": "batch", "scopes": ["submit"], "created_at": "2026-01-01T12:00:00Z", "expires_at": None,
    "last_used_at": None, "key": "hush",
}  # fmt: skip
DROPPED = httpx.RemoteProtocolError("Server disconnected without sending a response.")


def test_send_retries_transient_failures(api: ScriptedApi) -> None:
    recording = api.run(
        get(api.calls, "task-1"),
        problem("dependency_unavailable", 503, Retry_After="3"),
        DROPPED,
        reply(None, 502),
        problem("quota_exceeded", 429, Retry_After="7"),
        reply(task_json()),
    )
    assert isinstance(recording.result, Task)
    assert recording.pauses == [3.0, 1.0, 2.0, 7.0]
    assert len({(request.method, str(request.url)) for request in recording.requests}) == 1


def test_send_raises_with_the_number_of_attempts(api: ScriptedApi) -> None:
    with pytest.raises(UnavailableError) as caught:
        api.run(get(api.calls, "task-1"), *[problem("dependency_unavailable", 503) for _ in range(5)])
    assert (caught.value.attempts, caught.value.code) == (5, "dependency_unavailable")
    assert api.recording.pauses == [0.5, 1.0, 2.0, 4.0]


def test_send_raises_at_once_when_retry_after_is_too_long(api: ScriptedApi) -> None:
    with pytest.raises(TooManyRequestsError) as caught:
        api.run(get(api.calls, "task-1"), problem("quota_exceeded", 429, Retry_After="3600"))
    assert caught.value.retry_after_seconds == 3_600.0
    assert api.recording.pauses == []


def test_create_key_is_retried_only_when_not_executed(api: ScriptedApi) -> None:
    api.run(
        create_key(api.calls, "batch", ["submit"], None),
        httpx.ConnectError("refused"),
        problem("quota_exceeded", 429, retryable=True),
        reply(KEY, 201),
    )
    for unknown in (
        httpx.ReadTimeout("no response"),
        problem("dependency_unavailable", 503, retryable=True),
    ):
        with pytest.raises((UnreachableError, UnavailableError)):
            api.run(create_key(api.calls, "batch", ["submit"], None), unknown)


def test_webhook_secret_repr_hides_the_secret() -> None:
    assert "hush" not in repr(WebhookSecrets.model_validate({"secrets": [{"secret": "hush"}]}))


def test_created_key_repr_hides_the_secret(api: ScriptedApi) -> None:
    created = api.run(create_key(api.calls, "batch", ["submit"], 7), reply(KEY, 201)).result
    assert (created.key, "hush" in repr(created)) == ("hush", False)


def test_send_names_the_address_when_unreachable(api: ScriptedApi) -> None:
    with pytest.raises(UnreachableError, match=r"darkroom\.example does not respond: ConnectTimeout"):
        api.run(get(api.calls, "task-1"), *[httpx.ConnectTimeout("") for _ in range(5)])


def test_refusal_names_field_and_limit_and_is_not_retried(api: ScriptedApi) -> None:
    with pytest.raises(ParametersRejectedError) as caught:
        api.run(get(api.calls, "task-1"), problem("parameters_rejected", 422))
    (error,) = caught.value.errors
    assert (error.location, error.detail) == ("/steps", "must be between 1 and 100, got 5000")
    assert "  /steps: must be between 1 and 100, got 5000" in str(caught.value).splitlines()
    assert caught.value.trace_id == "4bf9"


def test_send_retries_problems_that_are_retryable(api: ScriptedApi) -> None:
    recording = api.run(
        get(api.calls, "task-1"),
        problem("request_in_progress", 409, retryable=True),
        problem("internal_error", 500, retryable=True),
        reply(task_json()),
    )
    assert recording.pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (httpx.Response(200, html="<h1>It works!</h1>"), 200),
        (httpx.Response(404, html="<h1>No</h1>"), 404),
        (httpx.Response(400, text="{", headers={"Content-Type": "application/problem+json"}), 400),
        (httpx.Response(200, json=[]), 200),
        (httpx.Response(200, json={"id": "task-1"}), 200),
    ],
)
def test_send_raises_for_responses_that_darkroom_does_not_send(
    api: ScriptedApi, response: httpx.Response, status: int
) -> None:
    with pytest.raises(UnexpectedResponseError, match=f"unexpected response with status {status}"):
        api.run(get(api.calls, "task-1"), response)


def test_requests_to_other_hosts_carry_no_credentials(api: ScriptedApi) -> None:
    calls = api.calls
    assert calls.request("GET", "/v1/tasks").headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in calls.anonymous_request("https://storage.example/x", max_bytes=1).headers
    assert "secret" not in repr(calls)


def test_path_quotes_an_id_as_one_segment(api: ScriptedApi) -> None:
    api.run(get(api.calls, "a/../b?c#d"), reply(task_json()))
    assert api.recording.requests[0].url.raw_path == b"/v1/tasks/a%2F..%2Fb%3Fc%23d"


def test_request_adds_hold_seconds_to_the_read_timeout(api: ScriptedApi) -> None:
    calls = api.calls
    timeout = calls.request("GET", "/v1/tasks/task-1", hold_seconds=30).extensions["timeout"]
    assert (timeout["connect"], timeout["read"]) == (30.0, 60.0)


def test_problem_error_maps_unknown_codes_by_status() -> None:
    raised = problem_error({"code": "code_of_a_newer_api"}, status=409, retry_after_seconds=None)
    assert (type(raised), raised.code) == (ConflictError, "code_of_a_newer_api")
