"""Find the end of an HTTP/1.1 request body (RFC 9112, sections 6 and 7.1) without parsing it."""

import re

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
_MAX_LINE_BYTES = 8_190
_MAX_FRAMING_BYTES = 32 * 1024
"""Limit for everything except content.

It bounds the number of chunks: parsing one costs as much as a kilobyte of content.
"""
_END_OF_CHUNK = len(b"\r\n")


class SizedBody:
    """A body of known length: 0 without Content-Length."""

    def __init__(self, length: int) -> None:
        self.size = length
        """Length of the content in bytes, from Content-Length."""
        self._left = length

    def feed(self, data: bytes) -> int | None:
        """Return how many of these bytes belong to the body, or None if it continues after them."""
        if self._left > len(data):
            self._left -= len(data)
            return None
        return self._left


class ChunkedBody:
    """A chunked body, read strictly, so that gunicorn finds its end at the same byte."""

    def __init__(self) -> None:
        self.size = 0
        """Content bytes of all chunks whose size line was read."""
        self._content_left = 0
        self._line = b""
        self._framing_bytes = 0
        self._is_in_trailer = False

    def feed(self, data: bytes) -> int | None:
        """Do the same as SizedBody.feed. Raises ValueError for malformed or too long framing."""
        position = 0
        while position < len(data):
            if self._content_left:
                taken = min(self._content_left, len(data) - position)
                self._content_left -= taken
                position += taken
                continue
            end = data.find(b"\n", position) + 1
            self._line += data[position : end or None]
            if len(self._line) > _MAX_LINE_BYTES:
                raise ValueError("a chunk's size line is too long")
            if not end:
                return None
            position = end
            if self._ends_with(self._line):
                return position
            self._line = b""
        return None

    def _ends_with(self, line: bytes) -> bool:
        self._framing_bytes += len(line) + _END_OF_CHUNK
        if self._framing_bytes > _MAX_FRAMING_BYTES:
            raise ValueError("the chunk sizes, extensions and trailers are too long")
        if self._is_in_trailer:
            return line == b"\r\n"
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise ValueError("a chunk's size is malformed")
        size = int(found[1], 16)
        self.size += size
        self._is_in_trailer = size == 0
        self._content_left = size + _END_OF_CHUNK if size else 0
        return False
