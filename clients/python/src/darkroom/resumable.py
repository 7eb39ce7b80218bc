"""Resumable uploads: a file is sent in parts, and continues after a broken connection."""

import hashlib
import re

import httpx

from darkroom.calls import Calls
from darkroom.errors import ClientError, UnexpectedResponseError
from darkroom.models.record import Record
from darkroom.models.stored_input import Input
from darkroom.sansio import Operation, Send, Sleep

PART_BYTES = 1024 * 1024
"""A multiple of 256 KiB, as Cloud Storage requires."""
_PROGRESS_BYTES = 256 * 1024
"""After so many more bytes, earlier failures do not count any more."""
_RECEIVED = re.compile(r"bytes=0-(\d{1,18})")
_INCOMPLETE = 308


class SessionUnreachableError(Exception):
    """No part could be sent to the bucket, for example because only the API is reachable."""


class _StartedUpload(Record):
    upload_id: str
    upload_url: str


def upload_in_parts(calls: Calls, picture: bytes, content_type: str) -> Operation[Input]:
    """Upload a picture in parts. Raises SessionUnreachableError, ClientError."""
    body = {"size_bytes": len(picture), "content_type": content_type}
    started = yield from calls.fetch(_StartedUpload, calls.request("POST", "/v1/inputs:start", body=body))
    yield from _send_parts(calls, calls.link(started.upload_url, httpx.codes.CREATED), picture)
    completion = {"upload_id": started.upload_id, "sha256": hashlib.sha256(picture).hexdigest()}
    return (yield from calls.fetch(Input, calls.request("POST", "/v1/inputs:complete", body=completion)))


def _send_parts(calls: Calls, url: str, picture: bytes) -> Operation[None]:
    """Send the parts. A response that does not confirm the whole part counts as a failure."""
    total, received, failures, is_known = len(picture), 0, 0, True
    progress, has_answered = 0, False
    while True:
        part = picture[received : received + PART_BYTES] if is_known else b""
        span = f"{received}-{received + len(part) - 1}" if part else "*"
        error: ClientError
        try:
            response: httpx.Response = yield Send(
                calls.session_request(url, part, content_range=f"bytes {span}/{total}")
            )
        except httpx.RequestError as failure:
            if not has_answered and isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout):
                raise SessionUnreachableError from failure
            error, is_known = calls.unreachable(failure), False
        else:
            has_answered = True
            if response.is_success:
                return
            error = UnexpectedResponseError(url.partition("?")[0], response.status_code)
            is_known = response.status_code == _INCOMPLETE
            if is_known:
                # More than all bytes would be progress without end.
                expected, received = received + len(part), min(total, _received(response))
                if received >= progress + _PROGRESS_BYTES:
                    progress, failures = received, 0
                if received < total and (received >= expected or not part):
                    continue
            elif response.status_code < 500 and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                raise error
        failures += 1
        pause = calls.retries.pause_seconds(failures, None)
        if pause is None:
            raise error
        yield Sleep(pause)


def _received(response: httpx.Response) -> int:
    """Return how many bytes the bucket has stored."""
    found = _RECEIVED.fullmatch(response.headers.get("Range", ""))
    return 0 if found is None else int(found[1]) + 1
