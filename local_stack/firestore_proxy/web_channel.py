"""One page's web channel: a Listen stream over plain HTTP requests, for the Firestore web client.

The server sends a sequence of numbered arrays. With each request the page confirms the last number
that it received. When its reading request ("back channel") breaks, the server resends everything
after that number. A channel ends with its gRPC stream, at the page's request, or when the page has
not read for a while; then all its state is freed.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import grpc
import structlog

from local_stack.firestore_proxy.emulator_link import (
    MAX_WAIT_SECONDS,
    EmulatorLink,
    EmulatorUnavailableError,
)
from local_stack.firestore_proxy.listen_json import (
    error_json,
    request_bytes,
    response_json,
)
from local_stack.firestore_proxy.listen_stream import ListenStream

logger = structlog.get_logger(__name__)

UNREAD_SECONDS = 10.0
"""A channel ends after this long without a reader. A page that returns opens a new channel."""
KEEP_ALIVE_SECONDS = 15.0
MAX_UNREAD_BYTES = 32_000_000
MAX_UNREAD_BYTES_WITHOUT_READER = 16_000_000
"""An active page reads again within milliseconds."""
_MAX_BYTES_PER_READ = 2_000_000
"""Size at which a reading request ends, because the page confirms data only with the next one."""
_CURRENT_SECONDS = 10.0
"""Time limit for the first documents, which the emulator may lose; the page reconnects."""
_CURRENT = '"targetChangeType":"CURRENT"'
_NOOP = '["noop"]'


class WebChannel:
    """The server's end of one channel. All methods belong to one event loop."""

    def __init__(
        self,
        session_id: str,
        link: EmulatorLink,
        *,
        database: str,
        authorization: str | None,
        on_end: Callable[[], None],
        unread_seconds: float = UNREAD_SECONDS,
    ) -> None:
        self.session_id = session_id
        self._link = link
        # The emulator reads a stream's database from this header.
        self._metadata: tuple[tuple[str, str], ...] = (("google-cloud-resource-prefix", database),)
        if authorization:
            self._metadata += (("authorization", authorization),)
        self._on_end = on_end
        self._unread_seconds = unread_seconds
        self._stream: ListenStream | None = None
        self._waiting: list[bytes] = []
        self._next_message = 0
        self._arrays: deque[tuple[int, str]] = deque()
        self._bytes = 0
        self._last_number = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._is_finished = False
        self._reader: object | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._current_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Open the stream to the emulator, and start the timeout for the first reader."""
        self._start_unread_timer()
        self._connecting = asyncio.create_task(self._connect())

    def receive(self, offset: int, messages: list[str]) -> None:
        """Accept each message once; pages repeat them. Raises InvalidListenRequestError."""
        for number, message in enumerate(messages, start=offset):
            if number >= self._next_message:
                request = request_bytes(message)
                if self._stream is None:
                    self._waiting.append(request)
                else:
                    self._stream.send(request)
                self._next_message = number + 1

    def confirm(self, number: int) -> None:
        """Drop the arrays up to the number that the page has confirmed."""
        while self._arrays and self._arrays[0][0] <= number:
            self._bytes -= len(self._arrays.popleft()[1])

    def status(self) -> str:
        """Return whether a page is reading, the last number, and the unconfirmed bytes, as JSON."""
        return json.dumps([int(self._reader is not None), self._last_number, self._bytes])

    def end(self) -> None:
        """Close the stream and free all state."""
        if self._ended:
            return
        self._ended = True
        for timer in (self._unread_timer, self._current_timer):
            if timer is not None:
                timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._stream is not None:
            self._stream.end()
        self._arrays.clear()
        self._changed.set()
        self._on_end()

    async def chunks(self, after: int, *, is_streaming: bool) -> AsyncGenerator[str, None]:
        """Yield the later arrays as they arrive, or one chunk. Replaces an earlier reader."""
        reader = self._reader = object()
        self._changed.set()  # ends an earlier reader
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        self.confirm(after)
        sent = 0
        try:
            if not self._arrays:  # lets the client detect a proxy that buffers
                self._send(_NOOP)
            while self._reader is reader:
                if unsent := [one for one in self._arrays if one[0] > after]:
                    after = unsent[-1][0]
                    chunk = "[" + ",".join(f"[{number},{array}]" for number, array in unsent) + "]"
                    sent += len(chunk)
                    yield chunk
                    if not is_streaming or sent > _MAX_BYTES_PER_READ:
                        return
                    continue
                if self._is_finished:
                    self.end()
                if self._ended:
                    return
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    self._send(_NOOP)
        finally:
            if self._reader is reader:
                self._reader = None
                self._start_unread_timer()

    async def _connect(self) -> None:
        try:
            channel = await self._link.stream_channel(MAX_WAIT_SECONDS)
        except EmulatorUnavailableError as error:
            self._finish(grpc.StatusCode.UNAVAILABLE, str(error))
            return
        self._stream = ListenStream(
            self._link,
            channel,
            self._metadata,
            on_response=self._forward,
            on_end=self._finish,
        )
        for request in self._waiting:
            self._stream.send(request)
        self._waiting.clear()
        self._current_timer = asyncio.get_running_loop().call_later(
            _CURRENT_SECONDS, self._finish, grpc.StatusCode.UNAVAILABLE, "The emulator sent no documents."
        )

    def _forward(self, response: bytes) -> None:
        text = response_json(response)
        if self._current_timer is not None and _CURRENT in text:
            self._current_timer.cancel()
        self._send(text)

    def _send(self, array: str) -> None:
        self._last_number += 1
        self._arrays.append((self._last_number, array))
        self._bytes += len(array)
        self._changed.set()
        limit = MAX_UNREAD_BYTES if self._reader is not None else MAX_UNREAD_BYTES_WITHOUT_READER
        if self._bytes > limit:
            logger.warning("web_channel_overflow", unread_bytes=self._bytes)
            self.end()

    def _finish(self, code: grpc.StatusCode, message: str) -> None:
        """Report the end to the page. The channel stays until the page has read it or timed out."""
        if self._ended or self._is_finished:
            return
        self._is_finished = True
        self._send(error_json(code, message))
        self._send('["close"]')

    def _start_unread_timer(self) -> None:
        if self._ended:
            return
        with suppress(RuntimeError):  # the loop is being closed
            loop = asyncio.get_running_loop()
            self._unread_timer = loop.call_later(self._unread_seconds, self.end)
