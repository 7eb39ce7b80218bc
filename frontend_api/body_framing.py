"""Where the body of an HTTP/1.1 request ends (RFC 9112, sections 6 and 7.1). Its content is the parser's matter."""

import re

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
_MAX_LINE_BYTES = 8_190
_MAX_FRAMING_BYTES = 32 * 1024
"""Of all that is not content. It bounds the number of chunks: parsing each costs as much as a kilobyte of content."""
_END_OF_CHUNK = len(b"\r\n")


class SizedBody:
    """A body of known length; without Content-Length that is 0."""

    def __init__(self, length: int) -> None:
        self.size = length
        """Bytes of content, as announced."""
        self._left = length

    def feed(self, data: bytes) -> int | None:
        """How many of these bytes belong to the body if it ends in them, None if it goes on behind them."""
        if self._left > len(data):
            self._left -= len(data)
            return None
        return self._left


class ChunkedBody:
    """A body in chunks, read strictly: gunicorn shall find its end where it is found here."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of content in the chunks that have begun."""
        self._content_left = 0
        self._line = b""
        self._framing_bytes = 0
        self._is_in_trailer = False

    def feed(self, data: bytes) -> int | None:
        """As SizedBody's; raises ValueError where the end cannot be told."""
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
                raise ValueError("a line of the framing is too long")
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
            raise ValueError("there is too much framing")
        if self._is_in_trailer:
            return line == b"\r\n"
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise ValueError("the size of a chunk is malformed")
        size = int(found[1], 16)
        self.size += size
        self._is_in_trailer = size == 0
        self._content_left = size + _END_OF_CHUNK if size else 0
        return False
