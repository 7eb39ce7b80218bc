"""Compression of large texts: scripts, styles, the OpenAPI document and long lists.

Texts that all callers share are compressed once, by Brotli where the caller accepts it: a seventh
smaller than by gzip, but slower.
"""

import gzip
from functools import lru_cache

import brotli
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
_GZIP_LEVEL = 5
_BROTLI_QUALITY = 9
"""Takes tens of milliseconds for the largest script; the highest, 11, takes a second."""


def compress_responses(app: Flask) -> None:
    """Compress large texts for callers that accept it."""

    @app.after_request
    def compress(answer: Response) -> Response:
        if not _is_compressible(answer):
            return answer
        answer.vary.add("Accept-Encoding")
        is_shared = answer.cache_control.public
        encoding = _accepted("br", "gzip") if is_shared else _accepted("gzip")
        if encoding is None:
            return answer
        answer.direct_passthrough = False  # a file is read here instead of by the server
        body = answer.get_data()
        if len(body) < _MIN_BYTES:
            return answer
        answer.set_data(_compressed_once(body, encoding) if is_shared else _compressed(body, encoding))
        answer.headers["Content-Encoding"] = encoding
        etag, _ = answer.get_etag()
        if etag is not None:
            answer.set_etag(etag, weak=True)
        return answer


def _accepted(*encodings: str) -> str | None:
    """Return the first of these encodings that the caller accepts."""
    return next((each for each in encodings if request.accept_encodings[each] > 0), None)


def _compressed(body: bytes, encoding: str) -> bytes:
    if encoding == "br":
        compressed: bytes = brotli.compress(body, quality=_BROTLI_QUALITY)
        return compressed
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


_compressed_once = lru_cache(maxsize=64)(_compressed)
"""For the files and documents that all callers share."""


def _is_compressible(answer: Response) -> bool:
    """Return whether the whole text is known, and no caller compares its ETag with that of a task.

    `no-transform` marks texts that consist of encoded images.
    """
    is_text = (
        answer.status_code == 200 and answer.mimetype in _TYPES and not answer.cache_control.no_transform
    )
    is_whole = answer.direct_passthrough or not answer.is_streamed
    return is_text and is_whole and not (answer.cache_control.private and "ETag" in answer.headers)
