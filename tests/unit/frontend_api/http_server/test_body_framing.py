"""The end of a body: exactly where gunicorn's parser finds it, or an error."""

import contextlib
import time

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from frontend_api.http_server.incoming_request import IncomingRequest

HEAD = b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOWEST_SECONDS = 3.0
"""Processor time. A parser with quadratic time takes half a minute and more."""


def arrived(sent: bytes, piece: int = 64 * 1024, limit: int = 4_000_000) -> IncomingRequest:
    incoming = IncomingRequest(max_body_bytes=lambda _method, _path: limit)
    for start in range(0, len(sent), piece):
        if incoming.is_complete or incoming.is_malformed or incoming.is_too_large:
            break
        incoming.feed(sent[start : start + piece])
    return incoming


def read_by_gunicorn(incoming: IncomingRequest) -> tuple[bytes, bytes]:
    """Return the body, and the bytes that gunicorn left unread."""
    parser = RequestParser(Config(), incoming.released_pieces(), ("127.0.0.1", 1))
    body = next(parser).body.read()
    left = parser.unreader.read(10_000_000)
    return body, left


FRAMINGS = {
    "no body": HEAD + b"\r\n",
    "a length": HEAD + b"Content-Length: 5\r\n\r\nhello",
    "a length with blanks": HEAD + b"Content-Length: \t 5 \r\n\r\nhello",
    "chunks": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "extensions": CHUNKED + b'5 ;a=b;c="d"\r\nhello\r\n000;x\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    "line ends in a chunk": CHUNKED + b"6\r\n0\r\n\r\n \r\n0\r\n\r\n",
    "an empty line before it": b"\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello",
    "two lengths that agree": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": CHUNKED.replace(b"/1.1", b"/1.0") + b"0\r\n\r\n",
    "a field name with a blank": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "a folded length": HEAD + b"Content-Length:\r\n 5\r\n\r\nhello",
    "bare line feeds in the head": HEAD + b"Content-Length: 5\n\nhello",
    "bare line feeds in the framing": CHUNKED + b"5\nhello\n0\n\n",
    "a bare line feed in an extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a bare carriage return in an extension": CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a signed chunk": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk in another notation": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\nhello, you\r\n0\r\n\r\n",
    "a trailer that is none": CHUNKED + b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
}


@pytest.mark.parametrize("sent", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_gunicorn_reads_the_framed_body_or_rejects_it(sent: bytes, piece: int) -> None:
    incoming = arrived(sent + NEXT, piece)
    try:
        body, left = read_by_gunicorn(incoming)
    except Exception:  # any exception in gunicorn closes the connection
        return
    assert incoming.is_complete
    assert not incoming.is_malformed
    assert left == b""
    assert b"smuggled" not in body
    assert NEXT.startswith(incoming.rest)


@pytest.mark.parametrize("name", list(FRAMINGS)[:8])
def test_body_is_read_whole_and_the_next_request_is_left(name: str) -> None:
    incoming = arrived(FRAMINGS[name] + NEXT)
    body, left = read_by_gunicorn(incoming)
    assert (incoming.rest, left) == (NEXT, b"")
    assert body in (b"", b"hello", b"0\r\n\r\n ")


@given(
    st.lists(
        st.sampled_from([*CHUNKED.splitlines(keepends=True), b"5", b"0", b"\r\n", b"\n", b" ", b";", b"a: b"])
    )
)
def test_framing_never_raises(parts: list[bytes]) -> None:
    for start in (b"", HEAD, CHUNKED):
        incoming = arrived(start + b"".join(parts), 16)
        assert incoming.size <= len(start + b"".join(parts))


COSTLY = {
    "blanks before a value": HEAD + b"X:" + b" " * 120_000 + b"\x00\r\n\r\n",
    "lines of blanks": HEAD + b"X:" + b"\r\n " * 40_000 + b"\x00\r\n\r\n",
    "many fields of blanks": HEAD + (b"X:" + b" " * 60 + b"\x00\r\n") * 2_000 + b"\r\n",
    "blanks in an extension": CHUNKED + b"5;" + b" " * 60_000 + b"\n\r\nhello\r\n0\r\n\r\n",
    "blanks in a trailer": CHUNKED + b"0\r\nX:" + b" " * 60_000 + b"\x00\r\n\r\n",
    "tiny chunks": CHUNKED + b"1\r\na\r\n" * 600_000 + b"0\r\n\r\n",
    "long extensions": CHUNKED + (b"1;" + b"x" * 8_000 + b"\r\na\r\n") * 1_000 + b"0\r\n\r\n",
    "a head without an end": HEAD + b"X: y\r\n" * 30_000,
}


@pytest.mark.parametrize("sent", COSTLY.values(), ids=COSTLY)
def test_framing_time_is_linear_in_its_length(sent: bytes) -> None:
    began = time.process_time()
    incoming = arrived(sent, 16_384)
    with contextlib.suppress(Exception):
        read_by_gunicorn(incoming)
    assert time.process_time() - began < SLOWEST_SECONDS


def test_gunicorn_gets_bounded_chunks() -> None:
    for sent in (
        HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        HEAD + b"X: " + b"y" * 180_000,
    ):
        *pieces, _ = arrived(sent, 1_000).released_pieces()
        assert {len(piece) for piece in pieces} == {8_192}


def test_chunk_framing_is_bounded() -> None:
    assert arrived(COSTLY["tiny chunks"]).is_malformed
    assert arrived(COSTLY["long extensions"]).size < 200_000
    assert arrived(CHUNKED + b"FFFFFFFFFFFFFFFF\r\n").is_too_large
