"""How much of a response is read, whatever a server sends.

A longer body is cut off: it is no valid JSON then, and the checksum of an image differs.
"""

import codecs
from collections.abc import AsyncIterator, Iterator

import httpx

MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_IMAGE_BYTES = 256 * 1024 * 1024
MAX_IMAGES_BYTES = 1024 * 1024 * 1024
"""Of all images of a task that are in memory together."""
MAX_ERROR_BYTES = 1024 * 1024
MAX_EVENT_CHARACTERS = 16 * 1024 * 1024
LIMIT = "darkroom.max_bytes"
"""The extension of a request whose successful response has another limit than MAX_JSON_BYTES."""
_ENCODINGS = ("identity", "gzip")
"""One chunk of nested encodings could be decoded to any size. No request accepts them."""


def body_limit(response: httpx.Response) -> int:
    """Return how many bytes of a decoded body are read."""
    if not _is_decodable(response):
        return 0
    if not response.is_success:
        return MAX_ERROR_BYTES
    return int(response.request.extensions.get(LIMIT, MAX_JSON_BYTES))


def with_body(response: httpx.Response, body: bytes | bytearray) -> httpx.Response:
    """Return a response with a decoded body."""
    headers = response.headers.copy()
    for name in ("Content-Encoding", "Content-Length", "Transfer-Encoding"):
        headers.pop(name, None)
    return httpx.Response(
        response.status_code, headers=headers, content=bytes(body), request=response.request
    )


class EventText:
    """The text of an event stream, which is UTF-8 whatever its headers say. Bounds each event."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._response = response
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0

    def iter_text(self) -> Iterator[str]:
        """Yield the text as it arrives. Raises httpx.RequestError."""
        self._check_encoding()
        for chunk in self._response.iter_bytes():
            yield self._decoded(chunk)

    async def aiter_text(self) -> AsyncIterator[str]:
        """Yield the text as it arrives. Raises httpx.RequestError."""
        self._check_encoding()
        async for chunk in self._response.aiter_bytes():
            yield self._decoded(chunk)

    def _check_encoding(self) -> None:
        if not _is_decodable(self._response):
            raise httpx.DecodingError("the events have an encoding that was not accepted")

    def _decoded(self, chunk: bytes) -> str:
        text = self._decoder.decode(chunk)
        _, end, rest = text.rpartition("\n\n")
        self._characters = len(rest) if end else self._characters + len(text)
        if self._characters > MAX_EVENT_CHARACTERS:
            raise httpx.DecodingError(f"an event has more than {MAX_EVENT_CHARACTERS} characters")
        return text


def _is_decodable(response: httpx.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() in _ENCODINGS
