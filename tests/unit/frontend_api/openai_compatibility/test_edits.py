"""POST /openai/v1/images/edits, also with the official `openai` package."""

import base64
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from werkzeug.test import TestResponse

from common.domain.inputs import input_object_name
from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.models.traits import Input
from common.domain.task import Task
from frontend_api.openai_compatibility.edits import editing_model
from tests.pictures import picture, png, png_bomb
from tests.unit.frontend_api.conftest import PNG, Api
from tests.unit.frontend_api.openai_compatibility.test_openai_exceptions import client_of

PATH = "/openai/v1/images/edits"
PROMPT = "a large red circle"


def taking(name: str, *inputs: Input) -> Any:
    traits = DEMO_MODEL.traits.model_copy(update={"inputs": (Input.TEXT, *inputs)})
    return DEMO_MODEL.model_copy(update={"name": name, "traits": traits})


CATALOG = ModelCatalog(
    models=(taking("text"), taking("paint", Input.IMAGE, Input.MASK), taking("start", Input.IMAGE))
)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(folder=tmp_path, catalog=CATALOG)


def during(api: Api, request: Callable[[], Any]) -> tuple[Task, Any]:
    """Return the task of a request and its result; a worker completes the task meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(request)
        assert api.changes.begun.acquire(timeout=60)
        (task,) = api.store.all_tasks
        api.complete(api.claim(task))
        return task, result.result(60)


def post(api: Api, **fields: Any) -> TestResponse:
    form = {"prompt": PROMPT, "image": file_of(png()), **fields}
    given = {name: value for name, value in form.items() if value is not None}
    return api.app.test_client().post(PATH, data=given, content_type="multipart/form-data", buffered=True)


def file_of(content: bytes) -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), "picture.png"


def error_of(answer: TestResponse) -> tuple[int, str, str | None]:
    error = answer.get_json()["error"]
    return answer.status_code, error["code"], error["param"]


def content_of(api: Api, picture_id: str | None) -> bytes:
    return api.inputs.contents[input_object_name("local", picture_id or "")]


def test_openai_client_edits_a_picture(api: Api) -> None:
    with client_of(api) as client:
        task, made = during(
            api,
            lambda: client.images.edit(
                model="paint",
                image=("photo.png", png(), "image/png"),
                mask=("mask.png", png(shade=9), "image/png"),
                prompt=PROMPT,
                n=1,
                size="128x64",
                user="end-user-7",
                extra_body={"seed": 7, "strength": 0.5, "guidance_scale": 3.5},
            ),
        )
    assert base64.b64decode(made.data[0].b64_json) == PNG
    asked = task.parameters
    assert (content_of(api, asked.image), content_of(api, asked.mask_image)) == (png(), png(shade=9))
    assert (asked.seed, asked.strength, asked.guidance_scale) == (7, 0.5, 3.5)
    assert (asked.width, asked.height, asked.num_images) == (128, 64, 1)
    assert task.labels == {"user": "end-user-7"}
    assert api.inputs.get(input_object_name("local", asked.image or "")).is_kept


def test_openai_client_streams_an_edit(api: Api) -> None:
    with client_of(api) as client:
        _, events = during(
            api, lambda: list(client.images.edit(image=[png()], prompt=PROMPT, stream=True, partial_images=1))
        )
    assert [event.type for event in events] == ["image_edit.completed"]
    assert base64.b64decode(events[0].b64_json) == PNG


def test_model_defaults_to_the_first_that_takes_pictures(api: Api) -> None:
    task, answer = during(api, lambda: post(api))
    assert answer.status_code == 200
    assert (task.parameters.model, task.parameters.mask_image, task.parameters.strength) == (
        "paint",
        None,
        0.8,
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"image": None}, "image"),
        ({"image": "no file"}, "image"),
        ({"image": [file_of(png()), file_of(png(shade=1))]}, "image"),
        ({"mask": "no file"}, "mask"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"n": "two"}, "n"),
        ({"n": "99"}, "n"),
        ({"size": "9999x64"}, "size"),
        ({"strength": "1.5"}, "strength"),
        ({"strength": "nan"}, "strength"),
        ({"sharpness": "3"}, "sharpness"),
        ({"control": file_of(png())}, "control"),
        ({"partial_images": "2"}, "partial_images"),
        ({"model": "text"}, "image"),
        ({"model": "start", "mask": file_of(png())}, "mask"),
    ],
)
def test_invalid_field_is_named(api: Api, fields: dict[str, Any], param: str) -> None:
    assert error_of(post(api, **fields)) == (400, "parameters_rejected", param)
    assert api.has_taken_nothing()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (png_bomb(), 400, "picture_too_large"),
        (picture("GIF"), 415, "picture_type_not_supported"),
        (picture("WEBP", frames=2), 400, "picture_animated"),
        (png()[:30], 400, "picture_damaged"),
        (bytes(5_000_001), 413, "body_too_large"),
    ],
)
@pytest.mark.parametrize("part", ["image", "mask"])
def test_hostile_pictures_are_refused(api: Api, part: str, content: bytes, status: int, code: str) -> None:
    answer = post(api, **{part: file_of(content)})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, code)
    assert api.has_taken_nothing()


def test_unknown_model_is_not_found(api: Api) -> None:
    with client_of(api) as client, pytest.raises(openai.NotFoundError) as raised:
        client.images.edit(image=png(), prompt=PROMPT, model="gpt-image-1")
    assert raised.value.code == "model_not_found"


def test_refused_picture_is_a_bad_request_error(api: Api) -> None:
    with client_of(api) as client, pytest.raises(openai.BadRequestError) as raised:
        client.images.edit(image=png()[:30], prompt=PROMPT)
    assert raised.value.code == "picture_damaged"


def test_other_bodies_are_refused(api: Api) -> None:
    answer = api.client.post(PATH, json={"prompt": PROMPT})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (415, "unsupported_media_type")


def test_field_without_effect_has_a_warning(api: Api) -> None:
    _, answer = during(api, lambda: post(api, input_fidelity="high"))
    assert [warning["pointer"] for warning in answer.get_json()["warnings"]] == ["/input_fidelity"]


def needing_mask() -> Any:
    traits = DEMO_MODEL.traits.model_copy(update={"required_inputs": (Input.IMAGE, Input.MASK)})
    return DEMO_MODEL.model_copy(update={"name": "fill", "traits": traits})


@pytest.mark.parametrize(("has_mask", "chosen"), [(False, "start"), (True, "fill")])
def test_omitted_model_is_one_that_fits_the_files(has_mask: bool, chosen: str) -> None:
    catalog = ModelCatalog(models=(needing_mask(), taking("start", Input.IMAGE)))
    assert editing_model(catalog, has_mask=has_mask).name == chosen


def test_missing_mask_is_refused_before_the_picture_is_stored(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, catalog=ModelCatalog(models=(needing_mask(),)))
    response = post(api)
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert error["message"].startswith("`mask` is required by the model 'fill'")
    assert error["param"] == "mask"
