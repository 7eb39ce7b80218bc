"""Callers who send slowly, nothing, or too much, against a real gunicorn: they do not delay other
callers.
"""

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from frontend_api.batches.schemas import BatchItem
from local_stack.loopback import LOOPBACK
from tests.pictures import png, png_chunk, png_header
from tests.served_api import served_by_gunicorn

pytestmark = pytest.mark.end_to_end
MANY = 150
SOON_SECONDS = 60.0
"""Not an expected duration, but a limit that distinguishes slow from never."""
FILLING_SECONDS = 10.0
"""How long slow readers may take to occupy all threads."""
JSON = {"Content-Type": "application/json"}
BODY = b'{"prompt": "a large red circle"}'


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served_by_gunicorn() as port:
        yield port


@pytest.fixture(scope="module")
def strict_port() -> Iterator[int]:
    """The port of a process with a request timeout of one second, and five unfinished requests per
    caller.
    """
    with served_by_gunicorn(
        DARKROOM_REQUEST_DEADLINE_SECONDS="1", DARKROOM_MAX_UNFINISHED_PER_CALLER="5"
    ) as port:
        yield port


def head(length: int, path: str = "/v1/tasks", *more: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *more)
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


def costly_batch(*more: str) -> bytes:
    """A batch whose validation takes a while: each field of each item is refused."""
    body = json.dumps({"tasks": [{name: [] for name in BatchItem.model_fields}] * 100}).encode()
    return head(len(body), "/v1/tasks:batch", *more) + body


def chunked(body: bytes) -> bytes:
    return head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + body


def connected(exits: ExitStack, port: int, sent: bytes = b"") -> socket.socket:
    connection = exits.enter_context(socket.create_connection((LOOPBACK, port), timeout=SOON_SECONDS))
    connection.sendall(sent)
    return connection


def answers_on(connection: socket.socket, count: int = 1) -> list[tuple[int, Any]]:
    """Return the status and JSON of this many responses; informational ones have no body."""
    found: list[tuple[int, Any]] = []
    reader = connection.makefile("rb")
    while len(found) < count:
        status = int(reader.readline().split()[1])
        headers = {}
        while (line := reader.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get(b"content-length", 0)))
        found.append((status, json.loads(body) if body else None))
    return found


def answer_on(connection: socket.socket) -> tuple[int, Any]:
    return answers_on(connection)[0]


def assert_others_are_served(port: int) -> None:
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=SOON_SECONDS, trust_env=False) as others:
        for path in ("/healthz", "/readyz"):
            assert others.get(path).status_code == 200
        assert others.post("/v1/tasks", content=BODY, headers=JSON).status_code == 202


def resident_bytes(port: int) -> int:
    """Memory of the processes that were started to listen on this port."""
    pages = sum(int((process / "statm").read_text().split()[1]) for process in processes_of(port))
    return pages * resource.getpagesize()


def number_of_threads(port: int) -> int:
    return sum(len(list((process / "task").iterdir())) for process in processes_of(port))


def processes_of(port: int) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            if f"PORT={port}".encode() in (process / "environ").read_bytes().split(b"\0"):
                yield process


UNFINISHED = {
    "bodies": head(500_000) + BODY,
    "bodies of batches": head(500_000, "/v1/tasks:batch") + b'{"tasks": [',
    "chunked bodies": head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"5\r\nabc",
    "heads": b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "request lines": b"GET /v1/mod",
    "connections without a byte": b"",
    "health checks": head(500_000, "/healthz") + BODY,
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_unfinished_requests_of_one_caller_do_not_delay_others(port: int, sent: bytes) -> None:
    with ExitStack() as exits:
        for _ in range(MANY):
            connected(exits, port, sent)
        assert_others_are_served(port)


def test_idle_connections_leave_room_for_others() -> None:
    with (
        served_by_gunicorn(DARKROOM_API_THREADS="4", DARKROOM_MAX_WAITING="4") as port,
        ExitStack() as exits,
    ):
        for number in range(2_700):
            connected(exits, port, UNFINISHED["heads"] if number % 2 else b"")
        assert_others_are_served(port)


def test_process_without_file_descriptors_closes_idle_connections() -> None:
    with served_by_gunicorn(OPEN_FILES="160") as port, ExitStack() as exits:
        url = f"http://{LOOPBACK}:{port}/v1/tasks"
        task = httpx.post(url, content=BODY, headers=JSON, trust_env=False).json()
        for _ in range(300):
            connected(exits, port)
        assert_others_are_served(port)
        kept = httpx.get(f"{url}/{task['id']}", timeout=SOON_SECONDS, trust_env=False)
        assert kept.status_code == 200, "another process, which does not know the task"


def test_slow_readers_free_the_threads() -> None:
    with (
        served_by_gunicorn(DARKROOM_API_THREADS="4", DARKROOM_MAX_WAITING="4") as port,
        ExitStack() as exits,
    ):
        for _ in range(12):
            slow = exits.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            slow.connect((LOOPBACK, port))
            slow.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as caller:
            until = time.monotonic() + FILLING_SECONDS
            with contextlib.suppress(httpx.TimeoutException):  # then every thread is taken
                while time.monotonic() < until:
                    caller.get("/v1/models", timeout=0.5)
        assert_others_are_served(port)


def test_burst_of_one_address_does_not_delay_another() -> None:
    with (
        served_by_gunicorn(
            DARKROOM_API_THREADS="1", DARKROOM_MAX_WAITING="0", DARKROOM_TRUSTED_PROXIES="1"
        ) as port,
        ExitStack() as exits,
    ):
        burst = [connected(exits, port, costly_batch("X-Forwarded-For: 192.0.2.1")) for _ in range(90)]
        assert answer_on(connected(exits, port, costly_batch("X-Forwarded-For: 192.0.2.2")))[0] == 200
        answered, _, _ = select.select(burst, (), (), 0)
        assert len(answered) < 45
        assert {answer_on(connection)[0] for connection in burst} == {200}


def test_requests_of_a_burst_have_no_threads_before_their_turn() -> None:
    with (
        served_by_gunicorn(DARKROOM_API_THREADS="8", DARKROOM_MAX_WAITING="200") as port,
        ExitStack() as exits,
    ):
        assert_others_are_served(port)
        before = number_of_threads(port)
        burst = [connected(exits, port, costly_batch()) for _ in range(90)]
        assert {answer_on(connection)[0] for connection in burst} == {200}
        assert number_of_threads(port) - before < 20  # the pool keeps its threads


def test_burst_of_a_user_who_was_unknown_when_it_began_leaves_threads_to_others() -> None:
    with (
        served_by_gunicorn(DARKROOM_API_THREADS="8", DARKROOM_MAX_WAITING="0") as port,
        ExitStack() as exits,
    ):
        before = number_of_threads(port)
        burst = [connected(exits, port) for _ in range(60)]
        for connection in burst:
            connection.sendall(costly_batch())
        answers = [answer_on(connection) for connection in burst]
        assert {status for status, _ in answers} == {200}
        assert {body["refused"] for _, body in answers} == {100}  # a request that waited again has its body
        assert number_of_threads(port) - before < 25


def test_kept_connection_holds_no_answered_body() -> None:
    body = b'{"tasks": []' + b" " * 990_000 + b"}"
    with served_by_gunicorn() as port, ExitStack() as exits:
        assert_others_are_served(port)
        before = resident_bytes(port)
        for _ in range(120):
            connection = connected(exits, port, head(len(body), "/v1/tasks:batch") + body)
            assert answer_on(connection)[0] == 422
        assert resident_bytes(port) - before < 60 * len(body)


def test_pictures_of_waiting_edits_do_not_count_for_their_address() -> None:
    filler = png_chunk(b"prVt", bytes(19_900_000))
    picture = png_header(64, 48) + filler + png()[len(png_header(64, 48)) :]
    edit = httpx.Request(
        "POST",
        "http://localhost/openai/v1/images/edits",
        data={"prompt": "a large red circle"},
        files={"image": picture, "mask": picture},
    )
    body = edit.read()
    lines = [f"POST {edit.url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in edit.headers.items())]
    sent = "\r\n".join((*lines, "", "")).encode() + body
    with (
        served_by_gunicorn("build_app_for_edits") as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as caller,
        ExitStack() as exits,
    ):
        # Three of these have more than the memory of all bodies.
        for count in range(1, 6):
            connection = connected(exits, port, sent)
            until = time.monotonic() + SOON_SECONDS
            while len(caller.get("/v1/tasks").json()["tasks"]) < count:
                assert not select.select([connection], (), (), 0)[0], connection.recv(4_096)
                assert time.monotonic() < until, "the edit is not accepted"


def test_body_of_an_event_stream_is_refused(port: int) -> None:
    with ExitStack() as exits:
        request = head(1_000_000, "/v1/tasks:events").replace(b"POST", b"GET")
        status, problem = answer_on(connected(exits, port, request + bytes(9_000)))
        assert (status, problem["detail"]) == (413, "the body may have at most 8192 bytes")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX:" + b" " * 120_000 + b"\x00\r\n\r\n",
        chunked(b"1\r\n{\r\n" * 400_000),
    ],
    ids=["a field of blanks", "tiny chunks"],
)
def test_costly_framing_does_not_delay_others(port: int, sent: bytes) -> None:
    with ExitStack() as exits:
        costly = connected(exits, port)
        with contextlib.suppress(ConnectionError):  # it need not be read to its end
            costly.sendall(sent + b"0\r\n\r\n")
        assert_others_are_served(port)


def test_slow_request_is_closed_after_the_deadline(strict_port: int) -> None:
    with ExitStack() as exits:
        began = time.monotonic()
        slow = connected(exits, strict_port, head(1_000))
        slow.settimeout(0.05)
        answer = b""
        while not answer:
            assert time.monotonic() < began + SOON_SECONDS, "the connection is still read from"
            slow.send(b" ")
            try:
                answer = slow.recv(4_096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code": "request_timeout"' in answer
        assert time.monotonic() >= began + 1


def test_oldest_unfinished_request_is_closed_at_the_limit() -> None:
    with (
        served_by_gunicorn(DARKROOM_MAX_UNFINISHED_PER_CALLER="5") as port,
        ExitStack() as exits,
    ):
        slow = [connected(exits, port, head(len(BODY)) + b"{") for _ in range(5)]
        assert_others_are_served(port)  # at this point the five have reached the process
        latest = connected(exits, port, head(len(BODY)) + b"{")
        status, problem = answer_on(slow[0])
        assert (status, problem["code"], problem["retryable"]) == (408, "request_timeout", True)
        for connection in (*slow[1:], latest):
            connection.sendall(BODY[1:])
            assert answer_on(connection)[0] == 202


def test_callers_behind_a_trusted_proxy_are_distinguished() -> None:
    def slow(caller: str) -> bytes:
        return head(len(BODY), "/v1/tasks", f"X-Forwarded-For: 6.6.6.6, {caller}") + b"{"

    with (
        served_by_gunicorn(DARKROOM_MAX_UNFINISHED_PER_CALLER="5", DARKROOM_TRUSTED_PROXIES="1") as port,
        ExitStack() as exits,
    ):
        honest = connected(exits, port, slow("192.0.2.1"))
        greedy = [connected(exits, port, slow("192.0.2.2")) for _ in range(6)]
        assert answer_on(greedy[0])[0] == 408
        honest.sendall(BODY[1:])
        assert answer_on(honest)[0] == 202


def test_body_in_pieces_is_read_completely(port: int) -> None:
    with ExitStack() as exits:
        connection = connected(exits, port, head(len(BODY)))
        for position in range(len(BODY)):
            connection.sendall(BODY[position : position + 1])
        assert answer_on(connection)[0] == 202


def test_chunked_body_is_read_completely(port: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield BODY[:10]
        yield BODY[10:]

    url = f"http://{LOOPBACK}:{port}/v1/tasks"
    answer = httpx.post(url, content=pieces(), headers=JSON, timeout=SOON_SECONDS, trust_env=False)
    assert answer.status_code == 202


def test_expect_100_continue_is_answered_once(port: int) -> None:
    with ExitStack() as exits:
        connection = connected(exits, port, head(len(BODY), "/v1/tasks", "Expect: 100-continue"))
        reader = connection.makefile("rb")
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        connection.sendall(BODY)
        assert reader.readline().startswith(b"HTTP/1.1 202 ")


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with ExitStack() as exits:
        connection = connected(exits, port, head(1) + b"x" + head(len(BODY)) + BODY + head(2) + b"{}")
        assert [status for status, _ in answers_on(connection, 3)] == [400, 202, 422]


def test_streams_and_websockets_use_their_connection(port: int) -> None:
    address = f"{LOOPBACK}:{port}"
    with httpx.Client(base_url=f"http://{address}", timeout=SOON_SECONDS, trust_env=False) as caller:
        task_id = caller.post("/v1/tasks", content=BODY, headers=JSON).json()["id"]
        with (
            caller.stream("GET", f"/v1/tasks/{task_id}/events") as events,
            connect(f"ws://{address}/v1/tasks/{task_id}/ws", proxy=None) as messages,
        ):
            lines = events.iter_lines()
            assert next(lines) == "event: task"
            assert json.loads(messages.recv(SOON_SECONDS))["status"] == "queued"
            caller.post(f"/v1/tasks/{task_id}/cancel")
            assert json.loads(messages.recv(SOON_SECONDS))["status"] == "cancelled"
            assert sum(line == "event: task" for line in lines) == 1
            with pytest.raises(ConnectionClosedOK):
                messages.recv(SOON_SECONDS)


def test_oversized_body_is_rejected_with_an_answer(port: int) -> None:
    url = f"http://{LOOPBACK}:{port}/v1/tasks:batch"
    answer = httpx.post(url, content=b" " * 20_000_000, headers=JSON, timeout=SOON_SECONDS, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_oversized_body_below_openai_is_rejected_in_its_shape(port: int) -> None:
    url = f"http://{LOOPBACK}:{port}/openai/v1/images/generations"
    answer = httpx.post(url, content=b" " * 20_000_000, timeout=SOON_SECONDS, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_health_check_with_a_body_is_refused_unread(port: int) -> None:
    url = f"http://{LOOPBACK}:{port}/readyz"
    answer = httpx.post(url, content=b"{}", headers=JSON, timeout=SOON_SECONDS, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_pictures_may_be_larger_than_other_bodies(port: int) -> None:
    url = f"http://{LOOPBACK}:{port}/v1/inputs"
    text = png_chunk(b"tEXt", bytes(4_900_000))
    picture = png_header(64, 48) + text + png_chunk(b"IDAT") + png_chunk(b"IEND")
    headers = {"Content-Type": "image/png"}
    for content, status in ((picture, 201), (bytes(5_000_001), 413), (bytes(21_000_000), 413)):
        answer = httpx.post(url, content=content, headers=headers, timeout=SOON_SECONDS, trust_env=False)
        assert answer.status_code == status
    form = httpx.post(url, files={"file": picture}, timeout=SOON_SECONDS, trust_env=False)
    assert (form.status_code, form.json()["size_bytes"]) == (200, len(picture))


def test_long_cookies_of_other_programs_are_accepted(port: int) -> None:
    headers = {"Cookie": f"session={'x' * 9_000}"}
    answer = httpx.get(f"http://{LOOPBACK}:{port}/v1/models", headers=headers, trust_env=False)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"x" * 8_190 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 65 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        chunked(b"x\r\n"),
        chunked(b"2\r\n{}XX0\r\n\r\n"),
        chunked(b"2\r\n{}\r\n0\r\nno colon\r\n\r\n"),
    ],
    ids=[
        *("TLS", "no length", "long line", "endless line", "fields", "expectation", "coding"),
        *("no chunk size", "no end of a chunk", "trailer"),
    ],
)
def test_invalid_http_is_answered_and_closed(port: int, sent: bytes) -> None:
    with ExitStack() as exits:
        connection = connected(exits, port)
        with contextlib.suppress(ConnectionError):  # it need not be read to its end
            connection.sendall(sent)
        status, problem = answer_on(connection)
        assert (status, problem["code"]) == (400, "bad_request")
        assert "not valid HTTP" in problem["detail"]
        assert "localhost" not in problem["detail"], "the log would contain what the request contains"
        assert connection.recv(1) == b""
    assert_others_are_served(port)


@pytest.mark.parametrize("body", [b"2\r\n{}XX0\r\n\r\n", b"2\r\n{}\r\n0\r\nno colon\r\n\r\n"])
def test_invalid_body_that_no_route_reads_has_one_response(port: int, body: bytes) -> None:
    with ExitStack() as exits:
        connection = connected(exits, port, chunked(body).replace(b"POST /v1/tasks", b"GET /v1/models"))
        responses = connection.makefile("rb").read()
        assert (responses.startswith(b"HTTP/1.1 200 "), responses.count(b"HTTP/1.1 ")) == (True, 1)


def test_invalid_http_below_the_path_of_openai_has_its_format(port: int) -> None:
    with ExitStack() as exits:
        line = b"GET /openai/v1/models?" + b"x" * 8_190 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        status, body = answer_on(connected(exits, port, line))
        assert (status, body["error"]["code"]) == (400, "bad_request")


def test_half_closed_connections_do_not_delay_others(port: int) -> None:
    with ExitStack() as exits:
        sent = head(1, "/v1/tasks", "Connection: close") + b"x"
        kept_open = [connected(exits, port, sent) for _ in range(30)]
        assert_others_are_served(port)
        assert {answer_on(connection)[0] for connection in kept_open} == {400}
