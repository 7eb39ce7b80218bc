"""Large responses that a caller does not read: they do not use up the memory of the process."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask, Response
from werkzeug.test import TestResponse

from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.problem_responses import handle_errors
from frontend_api.http.response_memory import limit_response_memory, reserve_memory
from tests.factories import claim_of
from tests.unit.frontend_api.conftest import Api, signed_in_as, stored_image

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
        self.app.add_url_rule("/reserved", "reserved", self._reserved)
        self.app.add_url_rule("/small", "small", lambda: Response(b"x"))
        self.app.add_url_rule("/stream", "stream", lambda: Response(self._chunks()))

    def _reserved(self) -> Response:
        reserve_memory(len(LARGE))
        self.reads += 1
        return Response(LARGE)

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
    assert (refused.status_code, refused.get_json()["code"]) == (503, "server_busy")
    assert refused.headers["Retry-After"] == "2"
    unread.pop().close()
    assert server.get("/large").data == LARGE


def test_refused_response_is_not_read(server: Server) -> None:
    unread = [server.get("/reserved") for _ in range(MOST_UNREAD)]
    assert server.get("/reserved").status_code == 503
    assert server.reads == MOST_UNREAD
    unread.pop().close()
    assert server.get("/reserved").data == LARGE


def test_unread_responses_of_a_caller_do_not_affect_others(server: Server) -> None:
    unread = server.occupied()
    assert server.get("/large", HONEST).data == LARGE
    assert server.get("/small").status_code == 200
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


def test_stream_is_closed_with_its_response(server: Server) -> None:
    response = server.get("/stream")
    assert next(iter(response.iter_encoded())) == b"x"
    response.close()
    assert server.closed_streams == 1


def test_unread_images_of_one_caller_are_limited(api: Api) -> None:
    task = api.claimed_task(user_id="ada")
    image = replace(stored_image(task), size_bytes=30_000_000)
    api.images.objects[image.object_name] = bytes(image.size_bytes)
    api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))

    def fetched(user: str) -> TestResponse:
        path = f"/v1/tasks/{task.id}/images/0/thumbnail"
        return api.app.test_client().get(path, headers=signed_in_as(user))

    unread = [fetched("ada") for _ in range(5)]
    assert [response.status_code for response in unread] == [200] * 4 + [503]
    assert fetched("bob").status_code == 404
