"""The client's records match the API's answers: read leniently, written back unchanged."""

import json
from datetime import timedelta
from typing import Any

from common.domain.models.catalog import DEMO_MODEL
from common.domain.task import Failure
from darkroom.cli.json_output import plain
from darkroom.models.model_spec import ModelSpec
from darkroom.models.task import Task
from frontend_api.models.routes import ModelResponse
from frontend_api.tasks.responses import TaskResponse
from frontend_api.usage.usage import GpuPrice
from scripted import task_json
from tests.factories import NOW, submitted_task
from tests.unit.frontend_api.conftest import stored_image


def written(answer: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.model_dump_json(by_alias=True))
    return told


def test_whatever_the_api_says_of_a_task_is_read_and_written_back() -> None:
    queued = submitted_task(labels={"team": "a"}, start_within=timedelta(seconds=60))
    claimed = queued.claimed_by("worker-1", NOW, timedelta(seconds=60))
    assert claimed.claim is not None
    drawn = claimed.completed(claimed.claim, (stored_image(queued),), NOW)
    failed = claimed.failed(claimed.claim, Failure(code="x", message="y", retryable=False), NOW)
    for task in (queued, claimed, drawn, failed):
        told = written(TaskResponse.of(task, price=GpuPrice(per_second=0.5, currency="EUR")))
        assert plain(Task.model_validate(told)) == told


def test_the_client_names_every_field_of_a_task() -> None:
    known = {field.alias or name for name, field in Task.model_fields.items()}
    assert set(written(TaskResponse.of(submitted_task(), price=None))) <= known, (
        "a new one belongs into client/task.py"
    )


def test_whatever_the_api_says_of_a_model_is_read_and_written_back() -> None:
    told = written(ModelResponse.of(DEMO_MODEL, None))
    assert plain(ModelSpec.model_validate(told)) == told


def test_fields_from_the_future_are_kept() -> None:
    told = task_json(mood="good", progress={**task_json()["progress"], "speed": 2})
    task = Task.model_validate(told)
    assert (task.model_extra, task.progress.model_extra) == ({"mood": "good"}, {"speed": 2})
    assert plain(task) == told
