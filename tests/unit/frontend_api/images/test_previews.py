"""GET previews: the current look of an image while it is being drawn."""

from datetime import timedelta

from common.domain.images import Preview
from common.domain.task import Task
from tests.factories import claim_of
from tests.unit.frontend_api.conftest import Api

JPEG = b"\xff\xd8, as far as these tests go"


def emerging(api: Api, *previews: Preview) -> Task:
    return api.store.update(
        api.claimed_task().id,
        lambda t: t.renewed(claim_of(t), api.clock.now(), timedelta(seconds=60), previews=previews),
    )


def test_preview_is_the_newest_of_its_image(api: Api) -> None:
    task = emerging(api, Preview(index=0, step=3, jpeg=b"other"), Preview(index=1, step=7, jpeg=JPEG))
    answer = api.client.get(f"/v1/tasks/{task.id}/previews/1")
    assert (answer.status_code, answer.content_type, answer.data) == (200, "image/jpeg", JPEG)
    assert answer.headers["ETag"] == '"1-7"'
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_preview_returns_304_when_the_etag_matches(api: Api) -> None:
    task = emerging(api, Preview(index=0, step=7, jpeg=JPEG))
    path = f"/v1/tasks/{task.id}/previews/0"
    assert api.client.get(path, headers={"If-None-Match": '"1-7"'}).status_code == 304
    assert api.client.get(path, headers={"If-None-Match": '"1-6"'}).data == JPEG


def test_preview_is_not_found_before_and_after_processing(api: Api) -> None:
    waiting, done = api.stored_task(task_id="waiting"), api.completed_task(task_id="done")
    for task in (waiting, done):
        answer = api.client.get(f"/v1/tasks/{task.id}/previews/0")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "image_not_found")
