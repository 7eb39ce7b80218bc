"""One call until it is answered: retries, exceptions, and which hosts receive the credentials."""

import httpx
import pytest

from darkroom.errors import ClientError, UnexpectedAnswerError, UnreachableError
from darkroom.models.task import Task
from darkroom.problem_errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    ParametersRejectedError,
    ProblemError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    problem_error,
)
from darkroom.resources.account import create_key
from darkroom.resources.tasks import get
from frontend_api.http.problems import PROBLEMS, Complaint, Problem
from scripted import Stage, answer, problem, task_json

KEY = {
    "id": "k1", "name": "batch", "scopes": ["submit"], "created_at": "2026-01-01T12:00:00Z", "expires_at": None,
    "last_used_at": None, "key": "hush",
}  # fmt: skip
DROPPED = httpx.RemoteProtocolError("Server disconnected without sending a response.")


def test_what_passes_is_tried_again_until_it_works() -> None:
    played = Stage().play(
        (stage := Stage()).calls.answered(stage.calls.request("GET", "/v1/models")), answer({})
    )
    assert (played.result.status_code, played.pauses) == (200, [])

    stage = Stage()
    played = stage.play(
        get(stage.calls, "task-1"),
        problem("dependency_unavailable", 503, Retry_After="3"),
        DROPPED,
        answer(None, 502),
        problem("quota_exceeded", 429, Retry_After="7"),
        answer(task_json()),
    )
    assert isinstance(played.result, Task)
    assert played.pauses == [3.0, 1.0, 2.0, 7.0]
    assert len({(request.method, str(request.url)) for request in played.requests}) == 1


def test_what_stays_is_raised_with_how_often_it_was_tried() -> None:
    stage = Stage()
    with pytest.raises(UnavailableError) as caught:
        stage.play(get(stage.calls, "task-1"), *[problem("dependency_unavailable", 503) for _ in range(5)])
    assert (caught.value.attempts, caught.value.code) == (5, "dependency_unavailable")
    assert stage.played.pauses == [0.5, 1.0, 2.0, 4.0]


def test_nobody_waits_longer_than_the_policy_says() -> None:
    stage = Stage()
    with pytest.raises(TooManyRequestsError) as caught:
        stage.play(get(stage.calls, "task-1"), problem("quota_exceeded", 429, Retry_After="3600"))
    assert caught.value.retry_after_seconds == 3_600.0
    assert stage.played.pauses == []


def test_what_must_not_be_done_twice_is_tried_again_only_while_it_was_not_done() -> None:
    stage = Stage()
    stage.play(
        create_key(stage.calls, "batch", ["submit"], None),
        httpx.ConnectError("refused"),
        problem("quota_exceeded", 429, retryable=True),
        answer(KEY, 201),
    )
    for unknown in (
        httpx.ReadTimeout("nothing came"),
        problem("dependency_unavailable", 503, retryable=True),
    ):
        with pytest.raises((UnreachableError, UnavailableError)):
            stage.play(create_key(stage.calls, "batch", ["submit"], None), unknown)


def test_a_key_is_not_shown_by_accident() -> None:
    stage = Stage()
    created = stage.play(create_key(stage.calls, "batch", ["submit"], 7), answer(KEY, 201)).result
    assert (created.key, "hush" in repr(created)) == ("hush", False)


def test_where_nobody_answers_the_address_is_named() -> None:
    stage = Stage()
    with pytest.raises(UnreachableError, match=r"darkroom\.example does not answer: ConnectTimeout"):
        stage.play(get(stage.calls, "task-1"), *[httpx.ConnectTimeout("") for _ in range(5)])


def test_a_refusal_is_raised_at_once_and_names_field_and_limit() -> None:
    stage = Stage()
    with pytest.raises(ParametersRejectedError) as caught:
        stage.play(get(stage.calls, "task-1"), problem("parameters_rejected", 422))
    (complaint,) = caught.value.complaints
    assert (complaint.at, complaint.detail) == ("/steps", "must be between 1 and 100, got 5000")
    assert "  /steps: must be between 1 and 100, got 5000" in str(caught.value).splitlines()
    assert caught.value.trace_id == "4bf9"


def test_a_problem_that_says_so_is_tried_again() -> None:
    stage = Stage()
    played = stage.play(
        get(stage.calls, "task-1"),
        problem("request_in_progress", 409, retryable=True),
        problem("internal_error", 500, retryable=True),
        answer(task_json()),
    )
    assert played.pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("stranger", "status"),
    [
        (httpx.Response(200, html="<h1>It works!</h1>"), 200),
        (httpx.Response(404, html="<h1>No</h1>"), 404),
        (httpx.Response(400, text="{", headers={"Content-Type": "application/problem+json"}), 400),
        (httpx.Response(200, json=[]), 200),
        (httpx.Response(200, json={"id": "task-1"}), 200),
    ],
)
def test_a_stranger_is_told_apart(stranger: httpx.Response, status: int) -> None:
    stage = Stage()
    with pytest.raises(UnexpectedAnswerError, match=f"answers {status}, but not as darkroom does"):
        stage.play(get(stage.calls, "task-1"), stranger)


def test_the_credentials_go_to_the_api_and_to_nobody_else() -> None:
    calls = Stage().calls
    assert calls.request("GET", "/v1/tasks").headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in calls.anonymous_request("https://storage.example/x").headers
    assert "secret" not in repr(calls)


def test_an_id_is_one_segment_whatever_it_holds() -> None:
    stage = Stage()
    stage.play(get(stage.calls, "a/../b?c#d"), answer(task_json()))
    assert stage.played.requests[0].url.raw_path == b"/v1/tasks/a%2F..%2Fb%3Fc%23d"


def test_a_read_that_may_be_held_is_given_the_time() -> None:
    calls = Stage().calls
    timeout = calls.request("GET", "/v1/tasks/task-1", patience_seconds=30).extensions["timeout"]
    assert (timeout["connect"], timeout["read"]) == (30.0, 60.0)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unauthenticated", UnauthenticatedError),
        ("forbidden", ForbiddenError),
        ("task_not_found", TaskNotFoundError),
        ("not_found", NotFoundError),
        ("invalid_transition", ConflictError),
        ("parameters_rejected", ParametersRejectedError),
        ("dependency_unavailable", UnavailableError),
    ],
)
def test_every_refusal_of_the_api_is_an_error_of_its_kind(code: str, kind: type[ClientError]) -> None:
    problem = Problem(code=code, detail="so", complaints=(Complaint("header", "Prefer", "no"),))
    raised = problem_error(problem.body(trace_id=None), status=problem.kind.status, retry_after_seconds=None)
    assert isinstance(raised, kind)
    assert [str(each) for each in raised.complaints] == ["Prefer: no"]


def test_no_refusal_of_the_api_is_without_a_kind() -> None:
    general = {
        kind.status
        for code, kind in PROBLEMS.items()
        if type(problem_error({"code": code}, status=kind.status, retry_after_seconds=None)) is ProblemError
    }
    assert general <= {405, 426}, "what no client of ours can cause"


def test_a_code_from_the_future_goes_by_its_status() -> None:
    raised = problem_error({"code": "moon_is_full"}, status=409, retry_after_seconds=None)
    assert (type(raised), raised.code) == (ConflictError, "moon_is_full")
