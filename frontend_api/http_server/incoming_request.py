"""IncomingRequest: the bytes of one HTTP/1.1 request while they arrive."""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

import h11

from frontend_api.http_server.body_framing import ChunkedBody, SizedBody

_MAX_HEAD_BYTES = 128 * 1024
"""More than gunicorn's own limits on the request line and header fields, which give a better reason."""
_MAX_HEAD_LINES = 100
"""h11 takes half a second for a head of thousands of fields. Gunicorn refuses more than 64."""
_COSTLY_HEAD = re.compile(rb"[ \t]{65}|\n[ \t]")
"""h11's pattern for a header field takes quadratic time for the blanks before the value, and folded
lines become blanks. Gunicorn also refuses folded lines.
"""
_OVERLAP_BYTES = 64
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FRAMING_FIELDS = (b"content-length", b"transfer-encoding")
_PIECE_BYTES = 8 * 1024
"""Size of the pieces for gunicorn's parser, which copies its buffer at each chunk and each read."""


class IncomingRequest:
    """Finds the end of a request. gunicorn parses the same bytes again once all have arrived.

    `max_body_bytes` returns the limit for a method and a path.
    """

    def __init__(
        self,
        *,
        max_body_bytes: Callable[[str, str], int],
        own_path: Callable[[str], str] = lambda path: path,
    ) -> None:
        self._head = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._end_of_head = b""
        self._head_lines = 0
        self._body: SizedBody | ChunkedBody | None = None
        self._limit_of_body = max_body_bytes
        self._own_path = own_path
        self._chunks: deque[bytes] = deque()
        self.size = 0
        """Bytes of this request that have arrived."""
        self.method = ""
        self.path: str | None = None
        """Without the query and the base path; None until the head is complete."""
        self.max_body_bytes = 0
        """The limit for this method and path, once the head is complete."""
        self.headers: dict[str, str] = {}
        """By names in lower case. The values of one name are joined, as in WSGI."""
        self.forwarded_for: tuple[str, ...] = ()
        """The entries of X-Forwarded-For."""
        self.is_complete = False
        self.fault = ""
        """Why the request is not valid HTTP, without its text, which may contain secrets. Its end is unknown."""
        self.is_too_large = False
        self.rest = b""
        """The first bytes of the next request on the same connection."""

    def feed(self, data: bytes) -> None:
        """Add bytes in the order of their arrival, until one of the three flags is set."""
        self._chunks.append(data)
        self.size += len(data)
        try:
            in_body = self._feed_head(data) if self._body is None else data
            if self._body is not None:
                self._feed_body(self._body, in_body)
        except h11.RemoteProtocolError:
            self.fault = "the head is malformed"
        except ValueError as error:
            self.fault = str(error)
        if self.is_complete or self.is_malformed:
            self._remove_end(len(self.rest))

    def released_pieces(self) -> Iterator[bytes]:
        """Yield the bytes of this request in equal pieces for gunicorn's parser, and release them.

        So a large body is in memory once while its route collects it.
        """
        piece = bytearray()
        while self._chunks:
            piece += self._chunks.popleft()
            while len(piece) >= _PIECE_BYTES:
                yield bytes(piece[:_PIECE_BYTES])
                del piece[:_PIECE_BYTES]
        if piece:
            yield bytes(piece)

    @property
    def is_malformed(self) -> bool:
        return bool(self.fault)

    @property
    def wants_continue(self) -> bool:
        """Whether the caller waits for `100 Continue` before it sends the body."""
        return self._head.they_are_waiting_for_100_continue and not (self.is_too_large or self.is_complete)

    def _feed_head(self, data: bytes) -> bytes:
        """Return the bytes after the head."""
        if self.size == len(data):  # one empty line before the request is ignored (RFC 9112, section 2.2)
            data = data.removeprefix(b"\r\n")
        if not data:
            return b""
        latest = self._end_of_head + data
        end = _END_OF_HEAD.search(latest)
        head_end = end.end() if end else len(latest)
        self._head_lines += latest.count(b"\n", len(self._end_of_head), head_end)
        if self._head_lines > _MAX_HEAD_LINES or _COSTLY_HEAD.search(latest, 0, head_end):
            raise ValueError("the head has too many fields, folded lines or too many blanks")
        of_head = head_end - len(self._end_of_head)
        self._end_of_head = latest[-_OVERLAP_BYTES:]
        self._head.receive_data(data[:of_head])  # which would keep the body, too
        event = self._head.next_event()
        if not isinstance(event, h11.Request):
            return b""
        self._note_head(event)
        return data[of_head:]

    def _feed_body(self, body: SizedBody | ChunkedBody, data: bytes) -> None:
        own = body.feed(data)
        self.is_too_large = body.size > self.max_body_bytes
        if own is not None and not self.is_too_large:
            self.is_complete = True
            self.rest = data[own:]

    def _remove_end(self, count: int) -> None:
        """Remove the last bytes, which belong to the next request. They arrived in the last chunk."""
        if count:
            self._chunks.append(self._chunks.pop()[:-count])
            self.size -= count

    def _note_head(self, head: h11.Request) -> None:
        self.method = head.method.decode("ascii")
        self.path = self._own_path(head.target.split(b"?", 1)[0].decode("latin-1"))
        self.max_body_bytes = self._limit_of_body(self.method, self.path)
        framing = [(name, value) for name, value in head.headers if name in _FRAMING_FIELDS]
        if len(framing) > 1:
            raise ValueError("two lengths, or a length and chunks")
        self._body = SizedBody(0)
        for name, value in framing:
            self._body = SizedBody(int(value)) if name == b"content-length" else ChunkedBody()
        values: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in head.headers:
            values[name.decode("ascii")].append(value.decode("latin-1"))
        self.headers = {name: ",".join(each) for name, each in values.items()}
        entries = (entry.strip() for entry in self.headers.get("x-forwarded-for", "").split(","))
        self.forwarded_for = tuple(filter(None, entries))
