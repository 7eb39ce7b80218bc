"""A Listen stream that ends so that the emulator frees it and no write fails.

The emulator ignores the cancellation of a stream. It detects the cancellation while it notifies the
stream of a commit; it may then answer that commit, which it has made, with "call already
cancelled". It also keeps the object of a completed stream. Only an invalid target makes it remove
the stream and close the call. So `end` removes the stream's targets and sends an invalid one. A
stream that is still open after that is completed and finally cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.cloud.firestore_v1.types import firestore as calls

from local_stack.firestore_proxy.emulator_link import SERVICE, EmulatorLink, as_it_is

_ListenRequest = calls.ListenRequest.pb()
_ListenResponse = calls.ListenResponse.pb()
_TargetChangeType = calls.TargetChange.TargetChangeType
_ENDS_ADDITION = frozenset((int(_TargetChangeType.CURRENT), int(_TargetChangeType.REMOVE)))
_LONGEST_ADDITION_SECONDS = 1.0
_COMPLETE_AFTER_SECONDS, _CANCEL_AFTER_SECONDS = 1.0, 5.0
_INVALID_TARGET = 2_000_000_000
"""The id of a target without a definition. No client uses ids this large."""

_running: set[asyncio.Task[None]] = set()
"""References to the tasks.

The event loop keeps only weak ones, so a task could be garbage-collected.
"""


class ListenStream:
    """Runs in its own task from creation to end. All methods belong to one event loop."""

    def __init__(
        self,
        link: EmulatorLink,
        channel: grpc.aio.Channel,
        metadata: Any,
        *,
        on_response: Callable[[bytes], None],
        on_end: Callable[[grpc.StatusCode, str], None],
    ) -> None:
        """Open the stream on `channel`, one of the link's stream channels.

        `on_end` is called once with the emulator's status, unless `end` was called before.
        """
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._addition_timer: asyncio.TimerHandle | None = None
        self._database = ""
        self._targets: set[int] = set()
        self._link = link
        self._channel = channel
        self._on_response = on_response
        self._on_end = on_end
        self._is_wanted = True
        self._call = channel.stream_stream(SERVICE + "Listen", as_it_is, as_it_is)(
            self._sent(), metadata=metadata
        )
        task = asyncio.create_task(self._read())
        _running.add(task)
        task.add_done_callback(_running.discard)

    def send(self, request: bytes) -> None:
        parsed: Any = _ListenRequest.FromString(request)
        if parsed.HasField("add_target"):
            self._targets.add(parsed.add_target.target_id)
        else:
            self._targets.discard(parsed.remove_target)
        self._database = parsed.database
        self._requests.put_nowait(request)

    def end(self) -> None:
        """Close the stream in the background. No callback is called afterwards."""
        if not self._is_wanted:
            return
        self._is_wanted = False
        for target_id in self._targets:
            removal: Any = _ListenRequest(database=self._database, remove_target=target_id)
            self._requests.put_nowait(removal.SerializeToString())
        invalid: Any = _ListenRequest(database=self._database)
        invalid.add_target.target_id = _INVALID_TARGET
        self._requests.put_nowait(invalid.SerializeToString())
        loop = asyncio.get_running_loop()
        loop.call_later(_COMPLETE_AFTER_SECONDS, self._requests.put_nowait, None)
        loop.call_later(_CANCEL_AFTER_SECONDS, self._call.cancel)

    async def _sent(self) -> AsyncIterator[bytes]:
        while (request := await self._requests.get()) is not None:
            if self._is_wanted and _ListenRequest.FromString(request).HasField("add_target"):
                await self._link.gate.begin_addition()
                self._end_addition()  # of an earlier target
                loop = asyncio.get_running_loop()
                self._addition_timer = loop.call_later(_LONGEST_ADDITION_SECONDS, self._end_addition)
            yield request

    def _end_addition(self) -> None:
        if self._addition_timer is not None:
            self._addition_timer.cancel()
            self._addition_timer = None
            self._link.gate.end_addition()

    async def _read(self) -> None:
        code, message = grpc.StatusCode.UNAVAILABLE, "The stream ended."
        try:
            async for response in self._call:
                if self._addition_timer is not None and _ends_addition(response):
                    self._end_addition()
                if self._is_wanted:
                    self._on_response(response)
        except grpc.aio.AioRpcError as error:
            code, message = error.code(), error.details() or ""
        except asyncio.CancelledError:  # its channel was closed, or the emulator did not complete the stream
            message = "The Firestore emulator ended."
        finally:
            self._end_addition()
            await self._link.close_stream_channel(self._channel)
        if self._is_wanted:
            self._is_wanted = False
            self._on_end(code, message)


def _ends_addition(response: bytes) -> bool:
    parsed: Any = _ListenResponse.FromString(response)
    return parsed.HasField("target_change") and parsed.target_change.target_change_type in _ENDS_ADDITION
