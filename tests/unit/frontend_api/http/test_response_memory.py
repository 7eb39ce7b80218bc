"""Large responses that a caller does not read: they do not use up the memory of the process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask, Response, g
from werkzeug.test import TestResponse

from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.problem_responses import handle_errors
from frontend_api.http.problems import RequestRefusedError
from frontend_api.http.response_memory import (
    check_response_memory,
    limit_response_memory,
    memory_of_stream,
    reserve_memory,
)
from tests.factories import claim_of
from tests.unit.frontend_api.conftest import PNG, Api, signed_in_as, stored_image

LARGE = b"x" * 100_000
MOST_UNREAD = 3
GREEDY, HONEST = "192.0.2.1", "192.0.2.2"


class Server:
    def __init__(self) -> None:
        self.closed_streams = 0
        self.reads = 0
        self.app = Flask(__name__)
        handle_errors(self.app, {})
        gate = ConcurrencyLimiter(at_once=8, per_caller=8)
        limit_response_memory(self.app, gate, capacity_bytes=MOST_UNREAD * len(LARGE))
        self.app.add_url_rule("/large", "large", lambda: Response(LARGE))
        self.app.add_url_rule("/change", "change", lambda: Response(LARGE), methods=["POST"])
        self.app.add_url_rule("/reserved", "reserved", self._reserved)
        self.app.add_url_rule("/of_user", "of_user", self._of_user)
        self.app.add_url_rule("/small", "small", lambda: Response(b"x"))
        self.app.add_url_rule("/stream", "stream", lambda: Response(self._chunks()))
        self.app.add_url_rule("/files", "files", self._files)

    def _reserved(self) -> Response:
        reserve_memory(len(LARGE))
        self.reads += 1
        return Response(LARGE)

    def _of_user(self) -> Response:
        g.identified_caller = "user ada"
        check_response_memory()
        return self._reserved()

    def _files(self) -> Response:
        reserve = memory_of_stream()

        def files() -> Iterator[bytes]:
            yield b"x"
            with reserve(len(LARGE)):
                self.reads += 1
                yield LARGE

        return Response(files())

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield b"x"
            yield LARGE
        finally:
            self.closed_streams += 1

    def get(self, path: str, caller: str = GREEDY) -> TestResponse:
        """Return a response that is not read and not closed."""
        return self.app.test_client().get(path, environ_base={"REMOTE_ADDR": caller})

    def occupied(self) -> list[TestResponse]:
        return [self.get("/large") for _ in range(MOST_UNREAD)]


@pytest.fixture
def server() -> Server:
    return Server()


def test_large_response_is_refused_to_a_caller_with_many_unread_ones(server: Server) -> None:
    unread = server.occupied()
    refused = server.get("/large")
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_large_files")
    assert refused.headers["Retry-After"] == "2"
    unread.pop().close()
    assert server.get("/large").data == LARGE


def test_response_of_a_change_arrives_and_counts(server: Server) -> None:
    """A refusal would hide what has changed."""
    unread = server.occupied()
    change = server.app.test_client().post("/change", environ_base={"REMOTE_ADDR": GREEDY})
    assert change.status_code == 200
    unread.pop().close()
    assert server.get("/large").status_code == 429
    change.close()
    assert server.get("/large").status_code == 200


def test_refused_response_is_not_read(server: Server) -> None:
    unread = [server.get("/reserved") for _ in range(MOST_UNREAD)]
    assert server.get("/reserved").status_code == 429
    assert server.reads == MOST_UNREAD
    unread.pop().close()
    assert server.get("/reserved").data == LARGE


def test_unread_responses_of_a_caller_do_not_affect_others(server: Server) -> None:
    unread = server.occupied()
    assert server.get("/large", HONEST).data == LARGE
    assert server.get("/small").status_code == 200
    assert all(response.status_code == 200 for response in unread)


def test_visitors_together_hold_at_most_twice_the_capacity(server: Server) -> None:
    unread = [server.get("/reserved", f"198.51.100.{number}") for number in range(2 * MOST_UNREAD)]
    assert [response.status_code for response in unread] == [200] * len(unread)
    assert server.get("/reserved", HONEST).status_code == 429
    unread.pop().close()
    assert server.get("/reserved", HONEST).data == LARGE


def test_visitors_do_not_use_up_the_memory_of_users(server: Server) -> None:
    unread = [server.get("/reserved", f"198.51.100.{number}") for number in range(2 * MOST_UNREAD)]
    assert server.get("/reserved", HONEST).status_code == 429
    assert server.get("/of_user", HONEST).data == LARGE
    assert all(response.status_code == 200 for response in unread)


def test_large_part_of_a_stream_counts_while_it_is_sent(server: Server) -> None:
    parts = [iter(server.get("/stream").iter_encoded()) for _ in range(MOST_UNREAD + 1)]
    for part in parts:
        assert next(part) == b"x"
    assert [next(part) for part in parts[:-1]] == [LARGE] * MOST_UNREAD
    with pytest.raises(BrokenPipeError):
        next(parts[-1])
    assert next(parts[0], None) is None
    assert server.get("/large").status_code == 200


def begun_streams(server: Server, count: int) -> list[Iterator[bytes]]:
    streams = [iter(server.get("/files").iter_encoded()) for _ in range(count)]
    assert [next(stream) for stream in streams] == [b"x"] * count
    return streams


def test_file_of_a_stream_is_not_read_before_its_memory_is_reserved(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontend_api.http.response_memory._WAIT_SECONDS", 0)
    *streams, last = begun_streams(server, MOST_UNREAD + 1)
    assert [next(stream) for stream in streams] == [LARGE] * MOST_UNREAD
    with pytest.raises(RequestRefusedError, match="many large files"):
        next(last)
    assert server.reads == MOST_UNREAD
    assert server.get("/files", HONEST).data == b"x" + LARGE


def test_stream_waits_for_the_memory_of_another_one(server: Server) -> None:
    *streams, last = begun_streams(server, MOST_UNREAD + 1)
    assert [next(stream) for stream in streams] == [LARGE] * MOST_UNREAD
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, last)
        assert next(streams[0], None) is None
        assert waiting.result(60) == LARGE


def test_stream_is_closed_with_its_response(server: Server) -> None:
    response = server.get("/stream")
    assert next(iter(response.iter_encoded())) == b"x"
    response.close()
    assert server.closed_streams == 1


def unread_images(api: Api) -> list[TestResponse]:
    """Return as many unread images of 30 MB as one caller may have, which is four."""
    task = api.claimed_task(task_id="large", user_id="ada")
    image = replace(stored_image(task), size_bytes=30_000_000)
    api.images.objects[image.object_name] = bytes(image.size_bytes)
    api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))
    return [fetched(api, "ada") for _ in range(4)]


def fetched(api: Api, user: str) -> TestResponse:
    return api.app.test_client().get("/v1/tasks/large/images/0/thumbnail", headers=signed_in_as(user))


def test_unread_images_of_one_caller_are_limited(api: Api) -> None:
    unread = unread_images(api)
    assert [response.status_code for response in unread] == [200] * 4
    assert fetched(api, "ada").status_code == 429
    assert fetched(api, "bob").status_code == 404


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("batch", {"tasks": [{"prompt": "a"}] * 100}),
        ("cancel", {"task_ids": ["other"]}),
        ("delete", {"task_ids": ["other"]}),
        ("label", {"task_ids": ["other"], "labels": {"team": "red"}}),
    ],
)
def test_change_of_many_tasks_is_refused_before_it_begins(
    api: Api, method: str, asked: dict[str, object]
) -> None:
    """Its response may be large. A caller who repeats a refused batch must not get two."""
    api.stored_task(task_id="other", user_id="ada")

    def post() -> TestResponse:
        return api.app.test_client().post(f"/v1/tasks:{method}", json=asked, headers=signed_in_as("ada"))

    unread = unread_images(api)
    before = list(api.store.all_tasks)
    refused = post()
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_large_files")
    assert list(api.store.all_tasks) == before
    unread[0].close()
    assert post().status_code == 200
    assert list(api.store.all_tasks) != before


@pytest.mark.parametrize("is_streamed", [True, False])
def test_waits_for_one_task_do_not_read_its_image_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_streamed: bool
) -> None:
    monkeypatch.setattr("frontend_api.http.response_memory._WAIT_SECONDS", 0)
    api = Api(
        folder=tmp_path,
        max_waiting=6,
        max_waiting_per_caller=6,
        openai_silent_seconds=0,
        heartbeat_seconds=0.01,
    )
    asked = {"prompt": "a large red circle", "stream": is_streamed}
    headers = {"Idempotency-Key": "one", **signed_in_as("ada")}

    def post() -> TestResponse:
        return api.app.test_client().post("/openai/v1/images/generations", json=asked, headers=headers)

    first = post()
    (task,) = api.store.all_tasks
    waits = [first, *(post() for _ in range(5))]
    bodies = [iter(wait.iter_encoded()) for wait in waits]
    assert [next(body) for body in bodies] == [b":\n" if is_streamed else b" "] * 6
    image = replace(stored_image(api.claim(task)), size_bytes=30_000_000)
    reads: list[str] = []
    api.images.read = lambda image: reads.append(image.object_name) or PNG  # type: ignore[method-assign,func-returns-value]
    api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))
    parts = [next(body).decode() for body in bodies]
    assert ["too_many_large_files" in part for part in parts] == [False] * 3 + [True] * 3
    assert len(reads) == 3
    for wait in waits:
        wait.close()
    assert post().text.count("b64_json") == 1
