"""GET thumbnails: the small version of an image, or the image itself."""

from dataclasses import replace

from common.domain.images import Thumbnail
from common.domain.task import Task
from tests.factories import claim_of, stored_image
from tests.pictures import png
from tests.unit.frontend_api.conftest import Api

SMALL = b"a small version"


def completed_with_thumbnail(api: Api) -> Task:
    task = api.claimed_task()
    thumbnail = Thumbnail(
        object_name=f"{task.folder}attempt-1/0.thumbnail.webp",
        width=512,
        height=384,
        content_type="image/webp",
        size_bytes=len(SMALL),
        sha256="ab" * 32,
    )
    api.images.objects[thumbnail.object_name] = SMALL
    image = replace(stored_image(task), thumbnail=thumbnail)
    return api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))


def test_thumbnail_is_served_as_bytes_that_browsers_may_keep(api: Api) -> None:
    task = completed_with_thumbnail(api)
    (image,) = api.client.get(f"/v1/tasks/{task.id}").get_json()["images"]
    assert image["thumbnail_url"] == f"/v1/tasks/{task.id}/images/0/thumbnail"
    answer = api.client.get(image["thumbnail_url"])
    assert (answer.status_code, answer.content_type, answer.data) == (200, "image/webp", SMALL)
    assert answer.headers["ETag"] == f'"{"ab" * 32}"'
    assert "immutable" in answer.headers["Cache-Control"]


def test_pictures_are_cached_for_the_same_credentials(api: Api) -> None:
    task = completed_with_thumbnail(api)
    (image,) = task.images
    api.images.objects[image.object_name] = b"the image"
    data = png()
    picture = api.client.post("/v1/inputs", data=data, content_type="image/png").get_json()["id"]
    images = f"/v1/tasks/{task.id}/images/0"
    for path in (images, f"{images}.png", f"{images}/thumbnail", f"/v1/inputs/{picture}/content"):
        first = api.client.get(path)
        part = api.client.get(path, headers={"Range": "bytes=0-3"})
        unchanged = api.client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert unchanged.status_code == 304
        for answer in (first, part, unchanged):
            assert "max-age" in answer.headers["Cache-Control"]
            assert {"Authorization", "X-API-Key"} <= set(answer.vary)


def test_image_without_thumbnail_is_served_itself(api: Api) -> None:
    task = api.completed_task()
    (image,) = task.images
    api.images.objects[image.object_name] = b"the image"
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0/thumbnail")
    assert (answer.content_type, answer.data) == ("image/png", b"the image")


def test_thumbnail_of_another_user_is_not_found(api: Api) -> None:
    task = api.completed_task(user_id="eve")
    assert api.client.get(f"/v1/tasks/{task.id}/images/0/thumbnail").status_code == 404
