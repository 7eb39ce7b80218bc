"""The state of a request while it arrives, its owner, and which requests are aborted."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend_api.http_server.incoming_request import IncomingRequest
from frontend_api.http_server.unfinished_requests import UnfinishedLimits, UnfinishedRequests

HEAD = b"POST /v1/tasks?x=1 HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n"
SIZED = HEAD + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: z\r\n\r\n"
BARE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
NEXT = b"GET /v1/models HT"


def arriving(limit: int = 100) -> IncomingRequest:
    return IncomingRequest(max_body_bytes=lambda _method, _path: limit)


@pytest.mark.parametrize("request_bytes", [SIZED, CHUNKED, BARE])
@given(cuts=st.lists(st.integers(0, 250), max_size=8))
def test_request_is_complete_with_its_last_byte(request_bytes: bytes, cuts: list[int]) -> None:
    incoming = arriving()
    places = sorted({0, *(cut for cut in cuts if cut < len(request_bytes) - 1), len(request_bytes) - 1})
    for start, end in pairwise(places):
        incoming.feed(request_bytes[start:end])
    before_the_last = incoming.is_complete
    incoming.feed(request_bytes[-1:] + NEXT)
    assert (before_the_last, incoming.is_complete) == (False, True)
    assert b"".join(incoming.released_pieces()) == request_bytes
    assert incoming.rest == NEXT


def test_path_and_addresses_are_known_before_the_body() -> None:
    incoming = arriving()
    incoming.feed(SIZED[:-5])
    assert incoming.path == "/v1/tasks"
    assert incoming.forwarded_for == ("1.2.3.4", "5.6.7.8")


def test_fields_of_one_name_are_joined() -> None:
    incoming = arriving()
    incoming.feed(
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: a, b\r\nX-API-Key: k\r\nX-FORWARDED-FOR: c,\r\n\r\n"
    )
    assert incoming.headers == {"host": "x", "x-forwarded-for": "a, b,c,", "x-api-key": "k"}
    assert incoming.forwarded_for == ("a", "b", "c")


@pytest.mark.parametrize("request_bytes", [SIZED, CHUNKED])
def test_body_above_the_limit_is_too_large(request_bytes: bytes) -> None:
    incoming = arriving(limit=4)
    incoming.feed(request_bytes)
    assert incoming.is_too_large


def test_no_continue_is_sent_for_a_body_above_the_limit() -> None:
    for limit, wants in ((4, False), (5, True)):
        incoming = arriving(limit=limit)
        incoming.feed(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert incoming.wants_continue == wants


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01 no HTTP\r\n\r\n",
        HEAD + b"Content-Length: five\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n",
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 200_000,
    ],
)
def test_request_without_a_certain_end_is_malformed(request_bytes: bytes) -> None:
    incoming = arriving()
    incoming.feed(request_bytes)
    assert incoming.is_malformed or incoming.is_too_large


def unfinished(**limits: float) -> UnfinishedRequests[str]:
    return UnfinishedRequests(
        UnfinishedLimits(**{"seconds": 20, "per_caller": 2, "buffered_bytes": 1_000, **limits})  # type: ignore[arg-type]
    )


def test_head_with_many_fields_is_not_parsed() -> None:
    within, beyond = arriving(), arriving()
    within.feed(HEAD + b"a: b\r\n" * 60)
    beyond.feed(HEAD + b"a: b\r\n" * 100)
    assert (within.is_malformed, beyond.is_malformed) == (False, True)
    within.feed(b"Content-Length: 5\r\n\r\n" + b"\n" * 5)
    assert within.is_complete


def test_deadline_counts_from_the_first_byte() -> None:
    requests = unfinished()
    requests.begin("a", now=0)
    requests.begin("b", now=5)
    requests.grow("a", caller="x", size=10)
    assert requests.overdue(now=19) == []
    assert requests.overdue(now=20) == ["a"]
    requests.end("a")
    assert requests.overdue(now=25) == ["b"]


def test_oldest_requests_of_a_caller_above_the_limit_are_dropped() -> None:
    requests = unfinished()
    for name, caller in (("a", "x"), ("b", "y"), ("c", "x")):
        requests.begin(name, now=0)
        assert requests.grow(name, caller=caller, size=1) == []
    requests.begin("d", now=0)
    assert requests.grow("d", caller="x", size=1) == ["a"]
    requests.end("a")
    assert requests.grow("d", caller="x", size=2) == []


def test_caller_with_the_most_bytes_is_dropped_first() -> None:
    requests = unfinished(per_caller=10)
    for name, caller, size in (("a", "x", 300), ("b", "y", 100), ("c", "x", 300), ("d", "x", 300)):
        requests.begin(name, now=0)
        assert requests.grow(name, caller=caller, size=size) == []
    assert requests.grow("b", caller="y", size=200) == ["a"]


def test_callers_behind_proxies_share_no_limit_before_the_head() -> None:
    requests = unfinished()
    for name in "abcde":
        requests.begin(name, now=0)
        assert requests.grow(name, caller=None, size=1) == []


def test_body_is_kept_once() -> None:
    body = 60_000
    tracemalloc.start()
    try:
        incoming = IncomingRequest(max_body_bytes=lambda _method, _path: body)
        incoming.feed(
            b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % body + bytes(body)
        )
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert incoming.is_complete
    assert body < kept < 1.5 * body
