"""POST /openai/v1/images/generations: parameters, waits, errors, and what becomes of the task."""

import base64
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.errors import DependencyUnavailableError
from common.domain.failures import FailureCode
from common.domain.images import FailedImage
from common.domain.task import Task, TaskStatus
from frontend_api.fair_shares import FairShares
from frontend_api.public_address import PublicAddress
from frontend_api.quotas.limits import QuotaLimits
from tests.factories import claim_of
from tests.fakes.outage import unavailable
from tests.unit.frontend_api.conftest import PNG, Api, signed_in_as, stored_image

PATH = "/openai/v1/images/generations"
PROMPT = "a large red circle"


def post(api: Api, headers: dict[str, str] | None = None, **body: Any) -> TestResponse:
    asked = {"prompt": PROMPT, **body}
    return api.app.test_client().post(PATH, json=asked, headers=headers, buffered=True)


def answer_after(api: Api, then: Callable[[Task], Any], **body: Any) -> TestResponse:
    """Return the answer to a request; `then` gets its task while it waits."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, api, **body)
        assert api.changes.begun.acquire(timeout=60)
        (task,) = api.store.all_tasks
        then(task)
        return answer.result(60)


def completing(api: Api) -> Callable[[Task], Task]:
    return lambda task: api.complete(api.claim(task))


def with_large_image(api: Api) -> Callable[[Task], Task]:
    def complete(task: Task) -> Task:
        image = replace(stored_image(api.claim(task)), size_bytes=30_000_000)
        api.images.objects[image.object_name] = bytes(image.size_bytes)
        return api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))

    return complete


def failing(api: Api, code: FailureCode) -> Callable[[Task], Task]:
    def fail(task: Task) -> Task:
        api.claim(task)
        return api.store.update(task.id, lambda t: t.failed(claim_of(t), code.failure(), api.clock.now()))

    return fail


def only_task(api: Api) -> Task:
    (task,) = api.store.all_tasks
    return task


def test_fields_become_the_parameters_of_a_task(api: Api) -> None:
    answer = answer_after(
        api,
        completing(api),
        model="demo",
        n=2,
        size="128x64",
        output_format="webp",
        user="end-user-7",
        seed=3,
        negative_prompt="blue",
        steps=4,
        guidance_scale=3.5,
        sampler="euler",
    )
    assert answer.status_code == 200
    task = only_task(api)
    wanted = {"num_images": 2, "width": 128, "height": 64, "output_format": "webp", "seed": 3, "steps": 4}
    assert wanted.items() <= task.parameters.model_dump(mode="json").items()
    assert (task.parameters.negative_prompt, task.parameters.guidance_scale) == ("blue", 3.5)
    assert (task.parameters.sampler, task.labels) == ("euler", {"user": "end-user-7"})


@pytest.mark.parametrize("size", ["auto", None])
def test_size_auto_is_the_default_of_the_model(api: Api, size: str | None) -> None:
    body = answer_after(api, completing(api), size=size).get_json()
    assert body["size"] == "256x256"


def test_images_are_bytes_by_default(api: Api) -> None:
    body = answer_after(api, completing(api)).get_json()
    assert body["data"] == [
        {"b64_json": base64.b64encode(PNG).decode(), "seed": 12_345, "seed_text": "12345"}
    ]
    assert body["task_id"] == only_task(api).id
    assert body["created"] == int(api.clock.now().timestamp())
    assert body["warnings"] == []


def test_images_in_a_body_are_not_compressed(api: Api) -> None:
    """Their text shrinks by a quarter only, and compression takes ten times as long as the response."""
    key = {"Idempotency-Key": "one"}
    answer_after(api, completing(api), headers=key)
    ((name, _),) = api.images.objects.items()
    api.images.objects[name] = picture = os.urandom(10_000)
    answer = post(api, {**key, "Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Cache-Control"] == "private, no-store, no-transform"
    assert answer.get_json()["data"][0]["b64_json"] == base64.b64encode(picture).decode()


@pytest.mark.parametrize("can_sign", [False, True])
def test_url_is_a_signed_link_or_the_address_of_the_api(api: Api, can_sign: bool) -> None:
    api.links.can_sign = can_sign
    (image,) = answer_after(api, completing(api), response_format="url").get_json()["data"]
    task = only_task(api)
    own = f"http://localhost/v1/tasks/{task.id}/images/0"
    assert image["url"] == (f"https://storage.test/{task.images[0].object_name}?signed" if can_sign else own)
    assert "b64_json" not in image


def test_url_of_the_api_is_below_its_public_address(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, address=PublicAddress.parse("https://example.com/pictures/"))
    (image,) = answer_after(api, completing(api), response_format="url").get_json()["data"]
    assert image["url"] == f"https://example.com/pictures/v1/tasks/{only_task(api).id}/images/0"


def test_fields_without_effect_have_warnings(api: Api) -> None:
    body = answer_after(api, completing(api), quality="high", style="vivid", moderation="low").get_json()
    pointers = {warning["pointer"] for warning in body["warnings"]}
    assert pointers == {"/quality", "/style", "/moderation"}


def test_harmless_values_have_no_warnings(api: Api) -> None:
    harmless = {"quality": "auto", "moderation": "auto", "output_compression": 100, "background": "opaque"}
    assert answer_after(api, completing(api), **harmless).get_json()["warnings"] == []


@pytest.mark.parametrize(
    ("asked", "quality"),
    [
        ({"output_format": "webp", "output_compression": 100}, 100),
        ({"output_format": "jpeg", "output_compression": 50}, 50),
        ({"output_format": "avif", "output_compression": 0}, 1),
        ({"output_format": "png", "output_compression": 100}, None),
        ({"output_compression": 100}, None),
        ({"output_format": "jpeg"}, None),
    ],
)
def test_output_compression_sets_the_quality(api: Api, asked: dict[str, Any], quality: int | None) -> None:
    answer_after(api, completing(api), **asked)
    assert only_task(api).parameters.output_quality == quality


def test_output_compression_is_refused_for_png(api: Api) -> None:
    refusal = post(api, output_compression=50)
    assert refusal.status_code == 400
    assert refusal.get_json()["error"]["param"] == "output_compression"


def test_failed_images_of_a_completed_task_are_warnings(api: Api) -> None:
    def complete_one(task: Task) -> None:
        api.claim(task)
        failed = (FailedImage(index=1, code="content_filtered", message="Rejected."),)
        image = stored_image(task)
        api.images.objects[image.object_name] = PNG
        api.store.update(
            task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now(), failed_images=failed)
        )

    body = answer_after(api, complete_one, n=2).get_json()
    assert len(body["data"]) == 1
    (warning,) = body["warnings"]
    assert (warning["code"], warning["pointer"]) == ("content_filtered", "/n")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sharpness", 3, "`sharpness` is not a known field"),
        ("n", 5, "`n` must be between 1 and 4, got 5"),
        ("size", "1024x512", "`size` width must be between 64 and 512 pixels, got 1024"),
        ("size", "big", "`size` must be auto, or width and height in pixels"),
        ("background", "transparent", "`background` must be opaque or auto"),
        ("partial_images", 2, "`partial_images` must be 0 or absent without `stream`"),
        ("partial_images", 4, "`partial_images` must be at most 3"),
        ("output_format", "gif", "`output_format` must be one of"),
        ("prompt", " ", "`prompt` must contain a character other than white space"),
        ("quality", "best", "`quality` must be one of"),
        ("steps", 1_000, "`steps` must be between 1 and 100, got 1000"),
    ],
)
def test_rejection_names_the_field(api: Api, field: str, value: Any, message: str) -> None:
    answer = post(api, **{field: value})
    assert (answer.status_code, answer.content_type) == (400, "application/json")
    error = answer.get_json()["error"]
    assert (error["param"], error["type"], error["code"]) == (
        field,
        "invalid_request_error",
        "parameters_rejected",
    )
    assert error["message"].startswith(message)
    assert api.has_taken_nothing()


def test_links_are_rejected_in_a_stream(api: Api) -> None:
    error = post(api, stream=True, response_format="url").get_json()["error"]
    assert error["param"] == "response_format"


def test_unknown_model_is_not_found(api: Api) -> None:
    answer = post(api, model="gpt-image-1")
    assert answer.status_code == 404
    error = answer.get_json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "demo" in error["message"]


@pytest.mark.parametrize(
    ("code", "status", "shown", "may_retry"),
    [
        (FailureCode.CONTENT_FILTERED, 400, "content_policy_violation", False),
        (FailureCode.INVALID_OUTPUT, 500, "invalid_output", False),
        (FailureCode.MODEL_UNAVAILABLE, 500, "model_unavailable", True),
    ],
)
def test_failed_task_is_an_error_with_its_code(
    api: Api, code: FailureCode, status: int, shown: str, may_retry: bool
) -> None:
    answer = answer_after(api, failing(api, code))
    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"]) == (status, shown)
    assert (error["message"], error["task_id"]) == (code.failure().message, only_task(api).id)
    assert (answer.headers.get("x-should-retry") != "false") == may_retry


def test_cancelled_task_is_a_conflict_that_clients_do_not_retry(api: Api) -> None:
    answer = answer_after(api, lambda task: api.client.post(f"/v1/tasks/{task.id}/cancel"))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (409, "false")
    assert answer.get_json()["error"]["code"] == "task_cancelled"


def test_deleted_task_is_not_found(api: Api) -> None:
    answer = answer_after(api, lambda task: api.store.delete(task.id, now=api.clock.now()))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "task_not_found")


def test_stopping_process_responds_and_cancels_the_task(api: Api) -> None:
    answer = answer_after(api, lambda _: api.subscriptions.shut_down())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert only_task(api).status is TaskStatus.CANCELLED


def test_wait_ends_with_an_error_and_the_task_is_cancelled(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_wait_seconds=0.05)
    answer = post(api)
    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"], error["task_id"]) == (504, "wait_timeout", only_task(api).id)
    assert answer.headers["x-should-retry"] == "false"
    assert only_task(api).status is TaskStatus.CANCELLED
    assert api.changes.subscribers == 0


def test_task_with_an_idempotency_key_continues_after_the_wait(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_wait_seconds=0.05)
    key = {"Idempotency-Key": "order-1"}
    answer = post(api, key)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (504, "true")
    assert only_task(api).status is TaskStatus.QUEUED
    api.complete(api.claim(only_task(api)))
    assert post(api, key).get_json()["data"][0]["b64_json"]
    reused = post(api, key, n=2)
    assert (reused.status_code, reused.get_json()["error"]["code"]) == (400, "idempotency_key_reused")


def test_long_wait_sends_white_space_before_the_body(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_silent_seconds=0, heartbeat_seconds=0.01)
    answer = answer_after(api, completing(api))
    assert answer.status_code == 200
    assert answer.text.startswith(" ")
    assert answer.get_json()["data"][0]["b64_json"]
    assert answer.headers["Cache-Control"] == "no-store, no-transform"
    assert only_task(api).status is TaskStatus.COMPLETED
    assert api.changes.subscribers == 0


def test_failure_after_a_long_wait_is_an_error_in_the_body(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_silent_seconds=0, heartbeat_seconds=0.01)
    answer = answer_after(api, failing(api, FailureCode.INVALID_OUTPUT))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (200, "invalid_output")


def test_lost_image_after_a_long_wait_is_an_error_in_the_body(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_silent_seconds=0, heartbeat_seconds=0.01)
    api.images.unavailable = True
    answer = answer_after(api, completing(api))
    assert answer.get_json()["error"]["code"] == "dependency_unavailable"


def test_response_that_is_closed_early_cancels_the_task(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_silent_seconds=0, heartbeat_seconds=0.01)
    response = api.client.post("/openai/v1/images/generations", json={"prompt": PROMPT}, buffered=False)
    assert next(response.iter_encoded()) == b" "
    response.close()
    assert only_task(api).status is TaskStatus.CANCELLED
    assert api.changes.subscribers == 0


def test_slot_is_held_until_the_images_are_sent(api: Api) -> None:
    """A caller who reads them slowly occupies a thread."""
    key, body = {"Idempotency-Key": "order-1"}, {"prompt": PROMPT}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(api.client.post, PATH, json=body, headers=key, buffered=False)
        assert api.changes.begun.acquire(timeout=60)
        completing(api)(only_task(api))
        response = asked.result(60)
    assert (response.status_code, api.changes.subscribers) == (200, 1)
    response.close()
    assert api.changes.subscribers == 0


def test_task_that_cannot_be_queued_is_cancelled_before_clients_repeat_the_request(api: Api) -> None:
    api.queue.unavailable = True
    answers = [post(api) for _ in range(3)]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "2")] * 3
    assert all("x-should-retry" not in answer.headers for answer in answers)
    error = answers[0].get_json()["error"]
    assert (error["code"], error["message"]) == ("dependency_unavailable", "pubsub did not answer in time")
    assert [task.status for task in api.store.all_tasks] == [TaskStatus.CANCELLED] * 3
    api.queue.unavailable = False
    api.clock.advance(120)
    assert api.rescue().get_json()["published"] == 0


def test_clients_do_not_repeat_a_request_whose_task_may_be_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.store.loses_answers = True
    with monkeypatch.context() as firestore:
        firestore.setattr(api.store, "get", unavailable("firestore"))
        answer = post(api)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert answer.get_json()["error"]["task_id"] == only_task(api).id


def test_clients_do_not_repeat_a_request_whose_unconfirmed_message_was_processed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process_without_confirmation(task: Task) -> None:
        api.complete(api.claim(task))
        raise DependencyUnavailableError("pubsub")

    monkeypatch.setattr(api.queue, "publish", process_without_confirmation)
    answer = post(api)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert answer.get_json()["error"]["task_id"] == only_task(api).id


@pytest.mark.parametrize(("has_memory", "status"), [(True, 503), (False, 429)])
def test_clients_do_not_repeat_a_request_whose_images_cannot_be_sent(
    api: Api, monkeypatch: pytest.MonkeyPatch, has_memory: bool, status: int
) -> None:
    monkeypatch.setattr(FairShares, "take_within", lambda *_: has_memory)
    api.images.unavailable = True
    answer = answer_after(api, with_large_image(api))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
    assert answer.get_json()["error"]["task_id"] == only_task(api).id


def unread_images(api: Api) -> list[TestResponse]:
    """Let the caller hold its share of the memory: four responses of 30 MB."""
    with_large_image(api)(api.stored_task(task_id="large"))
    unread = [api.app.test_client().get("/v1/tasks/large/images/0") for _ in range(5)]
    assert [answer.status_code for answer in unread] == [200] * 4 + [429]
    return unread[:4]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_no_task_is_generated_for_a_caller_who_does_not_read_its_responses(
    api: Api, is_streamed: bool
) -> None:
    unread = unread_images(api)
    answer = post(api, stream=is_streamed)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.get_json()["error"]["code"] == "too_many_large_files"
    assert only_task(api).id == "large"
    for response in unread:
        response.close()


def test_links_to_images_need_no_memory(api: Api) -> None:
    unread = unread_images(api)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, api, response_format="url")
        assert api.changes.begun.acquire(timeout=60)
        (task,) = (task for task in api.store.all_tasks if task.id != "large")
        with_large_image(api)(task)
        assert answer.result(60).status_code == 200
    for response in unread:
        response.close()


def test_images_of_a_generated_task_wait_for_the_memory_of_other_responses(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were paid for. The caller reads its other responses meanwhile."""
    unread: list[TestResponse] = []
    take = FairShares.take_within

    def take_after_the_others_are_read(memory: FairShares, seconds: float, caller: str, amount: int) -> bool:
        assert not take(memory, 0, caller, amount)
        for response in unread:
            response.close()
        return take(memory, seconds, caller, amount)

    def complete(task: Task) -> None:
        unread.extend(unread_images(api))
        monkeypatch.setattr(FairShares, "take_within", take_after_the_others_are_read)
        with_large_image(api)(task)

    answer = answer_after(api, complete)
    assert answer.status_code == 200
    assert len(answer.get_json()["data"]) == 1


def test_clients_repeat_a_request_with_an_idempotency_key_whose_images_cannot_be_sent(api: Api) -> None:
    key = {"Idempotency-Key": "order-1"}
    api.images.unavailable = True
    answer = answer_after(api, completing(api), headers=key)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "x-should-retry" not in answer.headers
    api.images.unavailable = False
    assert post(api, key).get_json()["task_id"] == only_task(api).id


@pytest.mark.parametrize(("silent_seconds", "status"), [(30, 503), (0, 200)])
def test_clients_do_not_repeat_a_request_whose_task_outlives_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_seconds: float, status: int
) -> None:
    """After white space was sent, an incomplete response would be repeated."""
    api = Api(folder=tmp_path, openai_silent_seconds=silent_seconds, heartbeat_seconds=0.01)

    def stop_without_firestore(_: Task) -> None:
        monkeypatch.setattr(api.store, "update", unavailable("firestore"))
        api.subscriptions.shut_down()

    answer = answer_after(api, stop_without_firestore)
    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"]) == (status, "server_stopping")
    assert error["task_id"] == only_task(api).id
    assert silent_seconds == 0 or answer.headers["x-should-retry"] == "false"


def test_task_with_an_idempotency_key_that_cannot_be_queued_is_queued_later(api: Api) -> None:
    api.queue.unavailable = True
    answer = post(api, {"Idempotency-Key": "order-1"})
    assert (answer.status_code, answer.get_json()["error"]["task_id"]) == (503, only_task(api).id)
    assert "x-should-retry" not in answer.headers
    assert only_task(api).status is TaskStatus.QUEUED


def test_quota_is_a_rate_limit_error(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, quota_limits=QuotaLimits(active_tasks=1))
    api.submit()
    answer = post(api)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    error = answer.get_json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "active-tasks" in answer.headers["RateLimit"]


def test_full_waiting_list_rejects_before_a_task_is_stored(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, max_waiting=0)
    assert post(api).get_json()["error"]["code"] == "too_many_waiting"
    assert api.has_taken_nothing()


def test_revoked_key_ends_the_wait(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, openai_silent_seconds=0, heartbeat_seconds=0.01)
    asked = {"name": "short", "scopes": ["submit"]}
    made = api.client.post("/v1/keys", json=asked, headers=signed_in_as("ada")).get_json()

    def revoke(_: Task) -> None:
        api.client.delete(f"/v1/keys/{made['id']}", headers=signed_in_as("ada"))

    answer = answer_after(api, revoke, headers={"Authorization": f"Bearer {made['key']}"})
    assert answer.get_json()["error"]["code"] == "invalid_api_key"
    assert only_task(api).status is TaskStatus.CANCELLED


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/openai/v1/nothing", 404, "not_found"),
        ("GET", "/openai/v1/images/generations", 405, "method_not_allowed"),
        ("GET", "/openai/v1/models/gpt-image-1", 404, "model_not_found"),
        ("POST", "/openai/v1/images/generations", 415, "unsupported_media_type"),
    ],
)
def test_every_error_below_openai_has_its_shape(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = api.client.open(path, method=method)
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    error = answer.get_json()["error"]
    assert (error["code"], error["type"]) == (code, "invalid_request_error")
    assert error["message"]


def test_missing_credentials_are_an_invalid_api_key(api: Api) -> None:
    answer = api.client.get("/openai/v1/models", headers={"Authorization": "Bearer sk-wrong"})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_models_are_listed_with_openais_fields(api: Api) -> None:
    demo = {"id": "demo", "object": "model", "created": 0, "owned_by": "darkroom"}
    assert api.client.get("/openai/v1/models").get_json() == {"object": "list", "data": [demo]}
    assert api.client.get("/openai/v1/models/demo").get_json() == demo


def test_error_body_is_plain_json(api: Api) -> None:
    assert json.loads(post(api, n=0).data).keys() == {"error"}
