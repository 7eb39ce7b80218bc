"""The SDK's records, limits and errors match the API."""

import json
from datetime import timedelta
from typing import Any

import pytest

from common.domain.models.catalog import DEMO_MODEL
from common.domain.task import Failure
from darkroom.cli.output import plain
from darkroom.errors import (
    ClientError,
    ConflictError,
    ContentPolicyError,
    ForbiddenError,
    NotFoundError,
    ParametersRejectedError,
    ProblemError,
    TaskNotFoundError,
    UnauthenticatedError,
    UnavailableError,
    problem_error,
)
from darkroom.models.catalog import ModelSpec
from darkroom.models.task import Task
from darkroom.resources.batches import MAX_ITEMS
from darkroom.submission import Submission, SubmissionFields
from frontend_api.batches.schemas import MAX_BATCH_ITEMS, BatchItem
from frontend_api.http.problems import PROBLEMS, Complaint, Problem
from frontend_api.models.routes import ModelResponse
from frontend_api.tasks.responses import TaskResponse
from frontend_api.tasks.schemas import TaskSubmission
from frontend_api.usage.usage import GpuPrice
from scripted import task_json
from tests.factories import NOW, submitted_task
from tests.unit.frontend_api.conftest import stored_image


def json_of(response: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(response.model_dump_json(by_alias=True))
    return body


def test_task_round_trips_the_response_of_the_api() -> None:
    queued = submitted_task(labels={"team": "a"}, start_within=timedelta(seconds=60))
    claimed = queued.claimed_by("worker-1", NOW, timedelta(seconds=60))
    assert claimed.claim is not None
    completed = claimed.completed(claimed.claim, (stored_image(queued),), NOW)
    failed = claimed.failed(claimed.claim, Failure(code="x", message="y", retryable=False), NOW)
    for task in (queued, claimed, completed, failed):
        body = json_of(TaskResponse.of(task, price=GpuPrice(per_second=0.5, currency="EUR")))
        assert plain(Task.model_validate(body)) == body


def test_task_names_every_field_of_the_api() -> None:
    names = {field.alias or name for name, field in Task.model_fields.items()}
    assert set(json_of(TaskResponse.of(submitted_task(), price=None))) <= names, (
        "add new fields to models/task.py"
    )


def test_model_spec_round_trips_the_response_of_the_api() -> None:
    body = json_of(ModelResponse.of(DEMO_MODEL, None))
    assert plain(ModelSpec.model_validate(body)) == body


def test_task_keeps_unknown_fields() -> None:
    body = task_json(priority="high", progress={**task_json()["progress"], "speed": 2})
    task = Task.model_validate(body)
    assert (task.model_extra, task.progress.model_extra) == ({"priority": "high"}, {"speed": 2})
    assert plain(task) == body


def test_submissions_have_the_fields_and_the_limit_of_the_api() -> None:
    assert MAX_ITEMS == MAX_BATCH_ITEMS
    assert {*Submission.__annotations__, *SubmissionFields.__annotations__} == set(BatchItem.model_fields)
    assert {"prompt", *SubmissionFields.__annotations__} >= set(TaskSubmission.model_fields)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unauthenticated", UnauthenticatedError),
        ("forbidden", ForbiddenError),
        ("task_not_found", TaskNotFoundError),
        ("not_found", NotFoundError),
        ("invalid_transition", ConflictError),
        ("parameters_rejected", ParametersRejectedError),
        ("content_policy_violation", ContentPolicyError),
        ("dependency_unavailable", UnavailableError),
    ],
)
def test_problem_error_maps_each_code_of_the_api(code: str, kind: type[ClientError]) -> None:
    problem = Problem(code=code, detail="so", complaints=(Complaint("header", "Prefer", "no"),))
    raised = problem_error(problem.body(trace_id=None), status=problem.kind.status, retry_after_seconds=None)
    assert isinstance(raised, kind)
    assert [str(each) for each in raised.errors] == ["Prefer: no"]


def test_problem_error_has_a_class_for_every_problem_of_the_api() -> None:
    general = {
        kind.status
        for code, kind in PROBLEMS.items()
        if type(problem_error({"code": code}, status=kind.status, retry_after_seconds=None)) is ProblemError
    }
    assert general <= {308, 405, 416, 424, 426}, "the SDK cannot cause other problems"
