"""Pictures in the HTTP cache of a real browser, which all of its users share."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask, Response, request, request_finished
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from common.domain.images import Thumbnail
from tests.factories import claim_of, stored_image
from tests.pictures import picture, png
from tests.unit.frontend_api.conftest import Api, signed_in_as

pytestmark = pytest.mark.browser
ALICE, BOB, NO_USER = signed_in_as("alice"), signed_in_as("bob"), dict[str, str]()
FETCH = """async ([path, headers]) => {
  const answer = await fetch(path, { headers });
  return [answer.status, (await answer.arrayBuffer()).byteLength];
}"""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(folder=tmp_path)
    yield api
    api.subscriptions.shut_down()


@contextmanager
def served(api: Api) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Serve the API over HTTP. Yield its address, and the path and status of each response."""
    answers: list[tuple[str, int]] = []

    def record(_: Flask, response: Response) -> None:
        answers.append((request.path, response.status_code))

    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with request_finished.connected_to(record, api.app):
            yield f"http://127.0.0.1:{server.port}", answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def stored_thumbnail(api: Api) -> tuple[str, int]:
    """Store a picture of alice with a thumbnail. Return the thumbnail's path and size."""
    small = picture("WEBP")
    task = api.claimed_task(user_id="alice")
    thumbnail = Thumbnail(
        object_name=f"{task.folder}attempt-1/0.thumbnail.webp",
        width=64,
        height=48,
        content_type="image/webp",
        size_bytes=len(small),
        sha256="ab" * 32,
    )
    api.images.objects[thumbnail.object_name] = small
    image = replace(stored_image(task), thumbnail=thumbnail)
    api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))
    return f"/v1/tasks/{task.id}/images/0/thumbnail", len(small)


def uploaded_picture(api: Api) -> tuple[str, int]:
    """Upload a picture of alice. Return the path and size of its content."""
    data = png()
    answer = api.client.post("/v1/inputs", data=data, content_type="image/png", headers=ALICE)
    return f"/v1/inputs/{answer.get_json()['id']}/content", len(data)


@pytest.mark.parametrize("store", [stored_thumbnail, uploaded_picture])
def test_cached_picture_is_for_the_same_credentials_only(
    chromium: Browser, api: Api, store: Callable[[Api], tuple[str, int]]
) -> None:
    path, size = store(api)
    context = chromium.new_context()
    with served(api) as (address, answers):
        page = context.new_page()
        page.goto(f"{address}/docs")
        assert page.evaluate(FETCH, [path, ALICE]) == [200, size]
        page.reload()
        assert page.evaluate(FETCH, [path, ALICE]) == [200, size]
        assert [status for read, status in answers if read == path] == [200], "the second is from the cache"
        # Another token of the same user, as after an hour, costs a response without the picture.
        renewed = {"Authorization": ALICE["Authorization"].replace("Bearer", "bearer")}
        assert page.evaluate(FETCH, [path, renewed]) == [200, size]
        assert page.evaluate(FETCH, [path, renewed]) == [200, size]
        assert [status for read, status in answers if read == path] == [200, 304]

        page.reload()
        assert page.evaluate(FETCH, [path, BOB])[0] == 404
        page.reload()
        assert page.evaluate(FETCH, [path, NO_USER])[0] == 404
        opened = context.new_page().goto(address + path)
        assert opened is not None
        assert opened.status == 404
    context.close()
