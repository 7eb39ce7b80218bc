"""gzip for large texts: scripts, styles, the OpenAPI document and long lists."""

import gzip
from functools import lru_cache

from flask import Flask, Response, request

_TYPES = frozenset(
    (
        "application/json",
        "application/manifest+json",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/javascript",
    )
)
_MIN_BYTES = 4_096
"""Smaller bodies fit into a few packets anyway."""
_LEVEL = 5


def compress_responses(app: Flask) -> None:
    """Compress large texts for callers that accept gzip."""

    @app.after_request
    def compress(answer: Response) -> Response:
        if not _is_compressible(answer):
            return answer
        answer.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"] <= 0:
            return answer
        answer.direct_passthrough = False  # a file is read here instead of by the server
        body = answer.get_data()
        if len(body) < _MIN_BYTES:
            return answer
        answer.set_data(_compressed_once(body) if answer.cache_control.public else _compressed(body))
        answer.headers["Content-Encoding"] = "gzip"
        etag, _ = answer.get_etag()
        if etag is not None:
            answer.set_etag(etag, weak=True)
        return answer


def _compressed(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


_compressed_once = lru_cache(maxsize=32)(_compressed)
"""For the files and documents that all callers share."""


def _is_compressible(answer: Response) -> bool:
    """Return whether the whole text is known, and no caller compares its ETag with that of a task."""
    is_text = answer.status_code == 200 and answer.mimetype in _TYPES
    is_whole = answer.direct_passthrough or not answer.is_streamed
    return is_text and is_whole and not (answer.cache_control.private and "ETag" in answer.headers)
