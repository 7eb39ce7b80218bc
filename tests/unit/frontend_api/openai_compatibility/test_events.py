"""Streamed generations: which previews are sent, and how a stream ends."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from common.domain.failures import FailureCode
from common.domain.images import Preview
from common.domain.task import AttemptOutput, Task
from frontend_api.openai_compatibility.events import PartialImages
from tests.factories import claim_of, parameters, stored_image, submitted_task
from tests.server_sent_events import events_of
from tests.unit.frontend_api.conftest import PNG, Api

TTL = timedelta(seconds=60)


def with_previews(*steps: int, of: int = 20) -> Task:
    """Return a task whose image k has a preview of the k-th of these steps."""
    previews = tuple(Preview(index=k, step=step, jpeg=b"JPEG") for k, step in enumerate(steps))
    return replace(submitted_task(parameters=parameters(steps=of, num_images=4)), previews=previews)


def sent(partial: PartialImages, *steps: int) -> list[tuple[int, int]]:
    return [(preview.step, number) for step in steps for preview, number in partial.due(with_previews(step))]


def test_previews_are_spread_over_the_steps() -> None:
    assert sent(PartialImages(3), *range(1, 21)) == [(5, 0), (10, 1), (15, 2)]
    assert sent(PartialImages(1), *range(1, 21)) == [(10, 0)]


def test_skipped_steps_do_not_add_previews() -> None:
    assert sent(PartialImages(3), 12, 13, 20) == [(12, 0), (20, 1)]


def test_no_preview_is_sent_without_partial_images() -> None:
    assert sent(PartialImages(0), *range(1, 21)) == []


def test_previews_of_each_image_are_counted_separately() -> None:
    due = PartialImages(3).due(with_previews(5, 1, 10))
    assert [(preview.index, number) for preview, number in due] == [(0, 0), (2, 0)]


def test_new_attempt_does_not_repeat_previews() -> None:
    assert sent(PartialImages(3), 5, 10, 1, 5, 10, 15) == [(5, 0), (10, 1), (15, 2)]


def streamed(api: Api, then: Callable[[Task], Any], **body: Any) -> list[tuple[str | None, dict[str, Any]]]:
    """Return the events of a request; `then` gets its task while it waits."""
    asked = {"prompt": "a large red circle", "stream": True, **body}
    with ThreadPoolExecutor(1) as pool:
        post = api.app.test_client().post
        answer = pool.submit(lambda: post("/openai/v1/images/generations", json=asked))
        assert api.changes.begun.acquire(timeout=60)
        (task,) = api.store.all_tasks
        then(task)
        response = answer.result(60)
    assert (response.status_code, response.content_type) == (200, "text/event-stream")
    assert response.headers["Cache-Control"] == "no-store, no-transform"
    events = events_of([response.text])
    return [(event.event, json.loads(event.data or "")) for event in events if not event.is_comment]


def store(api: Api, task: Task) -> AttemptOutput:
    image = stored_image(task, attempt=1)
    api.images.objects[image.object_name] = PNG
    return AttemptOutput(images=(image,))


def test_stream_ends_with_the_completed_image(api: Api) -> None:
    ((name, event),) = streamed(api, lambda task: api.complete(api.claim(task)), quality="high")
    assert name == event["type"] == "image_generation.completed"
    assert base64.b64decode(event["b64_json"]) == PNG
    assert (event["size"], event["output_format"], event["quality"]) == ("256x256", "png", "high")
    assert (event["image_index"], event["seed"], event["usage"]["total_tokens"]) == (0, 12_345, 0)
    assert [warning["pointer"] for warning in event["warnings"]] == ["/quality"]


@pytest.mark.parametrize("keeps_an_image", [False, True])
def test_failed_task_ends_with_an_error_event(api: Api, keeps_an_image: bool) -> None:
    def fail(task: Task) -> None:
        output = store(api, task) if keeps_an_image else AttemptOutput()
        api.claim(task)
        failure = FailureCode.INVALID_OUTPUT.failure()
        api.store.update(task.id, lambda t: t.failed(claim_of(t), failure, api.clock.now(), output=output))

    *images, (name, event) = streamed(api, fail, n=2)
    assert (name, event["error"]["code"]) == ("error", "invalid_output")
    assert len(images) == keeps_an_image


def test_cancelled_task_ends_with_an_error_event(api: Api) -> None:
    ((_, event),) = streamed(api, lambda task: api.client.post(f"/v1/tasks/{task.id}/cancel"))
    assert event["error"]["code"] == "task_cancelled"


def test_image_that_cannot_be_read_ends_the_stream_with_an_error(api: Api) -> None:
    api.images.unavailable = True
    ((_, event),) = streamed(api, lambda task: api.complete(api.claim(task)))
    assert event["error"]["code"] == "dependency_unavailable"


def test_first_event_is_a_preview_of_the_running_task(api: Api) -> None:
    key = {"Idempotency-Key": "order-1"}
    body = {"prompt": "a large red circle", "steps": 20}
    task_id = api.client.post("/v1/tasks", json=body, headers=key).get_json()["id"]
    api.claim(api.stored(task_id))
    previews = (Preview(index=0, step=10, jpeg=b"JPEG"),)
    api.store.update(task_id, lambda t: t.renewed(claim_of(t), api.clock.now(), TTL, previews=previews))
    response = api.client.post(
        "/openai/v1/images/generations", json={**body, "stream": True, "partial_images": 1}, headers=key
    )
    first = next(events_of(chunk.decode() for chunk in response.iter_encoded()))
    event = json.loads(first.data or "")
    assert first.event == event["type"] == "image_generation.partial_image"
    assert base64.b64decode(event["b64_json"]) == b"JPEG"
    assert (event["output_format"], event["partial_image_index"]) == ("jpeg", 0)
    response.close()
    assert not api.stored(task_id).status.is_terminal
    assert api.changes.subscribers == 0
