"""Limits the memory of large files: of responses that their callers have not read yet, and of uploads.

The limit on concurrent requests does not bound it: a response is sent after its view has returned, and
a few dozen requests with a large file each use up the memory.

Only responses to GET and HEAD are refused after the view. Any other request may have changed
something, and its response always arrives; it counts. A view whose response may be large therefore
calls `check_response_memory` before it changes anything, so that requests beyond the share do not begin.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

from flask import Flask, Response, after_this_request, current_app, g, request

from frontend_api.fair_shares import FairShares, Reserve
from frontend_api.http.concurrency_limiter import NETWORK, ConcurrencyLimiter
from frontend_api.http.problem_responses import problem_response
from frontend_api.http.problems import Problem, RequestRefusedError

_CAPACITY_BYTES = 96 * 1024 * 1024
_EXTENSION = "response_memory"
_LEAST_BYTES = 64 * 1024
"""Smaller bodies of all threads together fit into half of the capacity."""
_READING = ("GET", "HEAD")
_WAIT_SECONDS = 10.0
"""For the memory of a finished task's files. Many requests of a caller may wait for one task."""


class _Memories(NamedTuple):
    """Visitors need no account: they have a memory of their own, and cannot use up that of users."""

    users: FairShares
    visitors: FairShares


def limit_response_memory(
    app: Flask, gate: ConcurrencyLimiter, *, capacity_bytes: int = _CAPACITY_BYTES
) -> None:
    """Refuse a large response to a caller that holds more than its share of the memory."""
    memories = _Memories(
        users=FairShares(capacity_bytes), visitors=FairShares(capacity_bytes, at_most=2 * capacity_bytes)
    )
    app.extensions[_EXTENSION] = memories, gate

    @app.after_request
    def admit(answer: Response) -> Response:
        memory, caller = _memory_of_caller()
        if answer.is_streamed:
            if answer.status_code != 101 and not answer.direct_passthrough and "reserves_memory" not in g:
                answer.response = _metered(answer.response, memory, caller)
            return answer
        size = answer.content_length or 0
        if size < _LEAST_BYTES or "has_reserved_memory" in g:
            return answer
        if request.method not in _READING:
            memory.take(caller, size)
        elif not memory.take_if_admitted(caller, size):
            answer.close()
            return problem_response(_too_many())
        answer.call_on_close(partial(memory.give_back, caller, size))
        return answer


def check_response_memory() -> None:
    """Raise RequestRefusedError if the caller holds its share. Called before a request changes anything."""
    memory, caller = _memory_of_caller()
    if not memory.admits(caller):
        raise RequestRefusedError(_too_many())


def reserve_memory(size: int, *, waits: bool = False) -> None:
    """Count the memory of a large file, before it is read, until the response is sent.

    Otherwise the requests that run at once would read theirs before any counts. With `waits`, the
    request leaves the concurrency limit until the memory is free. Raises RequestRefusedError.
    """
    if size < _LEAST_BYTES:
        return
    memory, caller = _memory_of_caller()
    _, gate = current_app.extensions[_EXTENSION]
    with gate.released() if waits else nullcontext():
        is_admitted = memory.take_within(_WAIT_SECONDS if waits else 0, caller, size)
    if not is_admitted:
        raise RequestRefusedError(_too_many())
    g.has_reserved_memory = True

    @after_this_request
    def release_at_the_end(answer: Response) -> Response:
        answer.call_on_close(partial(memory.give_back, caller, size))
        return answer


def memory_of_stream() -> Reserve:
    """Return what counts the memory of each large file of a stream, before it is read, until it is sent.

    A stream continues after its request, outside the limit on concurrent requests: all waiting streams
    of a caller would read their files when a task finishes. Entering raises RequestRefusedError.
    """
    memory, caller = _memory_of_caller()
    g.reserves_memory = True

    @contextmanager
    def reserved(size: int) -> Iterator[None]:
        if size < _LEAST_BYTES:
            yield
            return
        if not memory.take_within(_WAIT_SECONDS, caller, size):
            raise RequestRefusedError(_too_many())
        try:
            yield
        finally:
            memory.give_back(caller, size)

    return reserved


def _memory_of_caller() -> tuple[FairShares, str]:
    """Return the memory of users or of visitors, and the current caller."""
    memories, gate = current_app.extensions[_EXTENSION]
    caller = gate.checked_caller()
    return memories.visitors if caller.startswith(NETWORK) else memories.users, caller


def _too_many() -> Problem:
    detail = "your requests hold many large files; read the responses, or send fewer requests at once"
    return Problem(code="too_many_large_files", detail=detail, headers={"Retry-After": "2"})


def _metered(chunks: Iterable[Any], memory: FairShares, caller: str) -> Iterator[Any]:
    """Yield the parts of a stream. Each large one is counted until the server asks for the next."""
    with ExitStack() as exits:
        if (close := getattr(chunks, "close", None)) is not None:
            exits.callback(close)
        for chunk in chunks:
            size = len(chunk)
            if size < _LEAST_BYTES:
                yield chunk
                continue
            if not memory.take_if_admitted(caller, size):
                # The server closes the connection, so the caller sees the end as an error.
                raise BrokenPipeError(errno.EPIPE, "the caller does not read its responses")
            try:
                yield chunk
            finally:
                memory.give_back(caller, size)
