"""A Listen stream that ends so that the emulator frees it and no write fails.

The emulator ignores the cancellation of a stream. It detects the cancellation while it notifies the
stream of a commit; it may then fail that commit, which it has made, with "call already cancelled".
It also keeps the object of a completed stream. Only an invalid target makes it remove the stream
and close the call. So `end` removes the stream's targets and sends an invalid one. A stream that is
still open after that is completed and finally cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from google.cloud.firestore_v1.types import firestore as calls

from local_stack.firestore_proxy.emulator_link import SERVICE, EmulatorLink, is_from_grpc
from local_stack.firestore_proxy.target_gate import Addition
from local_stack.grpc_proxy import identity

_ListenRequest = calls.ListenRequest.pb()
_ListenResponse = calls.ListenResponse.pb()
_TargetChangeType = calls.TargetChange.TargetChangeType
_COMPLETE_AFTER_SECONDS, _CANCEL_AFTER_SECONDS = 1.0, 5.0
_INVALID_TARGET = 2_000_000_000
"""The id of a target without a definition. No client uses ids this large."""

_running: set[asyncio.Task[None]] = set()
"""References that prevent garbage collection: the event loop has only weak ones."""


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
        """`on_end` is called once with the emulator's status, unless `end` was called before."""
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._additions: dict[int, Addition] = {}
        self._current: set[int] = set()
        self._database = ""
        self._targets: set[int] = set()
        self._link = link
        self._channel = channel
        self._on_response = on_response
        self._on_end = on_end
        self._is_wanted = True
        self._call = channel.stream_stream(SERVICE + "Listen", identity, identity)(
            self._outgoing_requests(), metadata=metadata
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

    async def _outgoing_requests(self) -> AsyncIterator[bytes]:
        while (request := await self._requests.get()) is not None:
            parsed: Any = _ListenRequest.FromString(request)
            if self._is_wanted and parsed.HasField("add_target"):
                target_id = parsed.add_target.target_id
                self._end_additions((target_id,))
                addition = self._additions[target_id] = self._link.gate.begin_addition()
                await addition.wait_for_writes()
            yield request

    def _end_additions(self, target_ids: Iterable[int]) -> None:
        for target_id in target_ids:
            self._current.discard(target_id)
            if (addition := self._additions.pop(target_id, None)) is not None:
                addition.end()

    def _follow_additions(self, response: bytes) -> None:
        """End the additions that this response completes.

        The emulator sends a target's CURRENT and then, from the same thread, a snapshot without
        targets. A write between them would make another thread send to the stream, and the emulator
        would break the connection.
        """
        change: Any = _ListenResponse.FromString(response).target_change
        targets = tuple(change.target_ids)
        if change.target_change_type == _TargetChangeType.REMOVE:
            self._end_additions(targets or tuple(self._additions))
        elif change.target_change_type == _TargetChangeType.CURRENT:
            self._current.update(targets or self._additions)
        elif change.target_change_type == _TargetChangeType.NO_CHANGE and change.resume_token and not targets:
            self._end_additions(tuple(self._current))

    async def _read(self) -> None:
        code, message = grpc.StatusCode.UNAVAILABLE, "The Firestore emulator ended the stream."
        try:
            async for response in self._call:
                if self._additions:
                    self._follow_additions(response)
                await self._link.all_stored()
                if self._is_wanted:
                    self._on_response(response)
        except grpc.aio.AioRpcError as error:
            if not is_from_grpc(error):
                code, message = error.code(), error.details() or ""
        except asyncio.CancelledError:
            pass  # its channel was closed, or the emulator did not complete the stream
        finally:
            was_wanted, self._is_wanted = self._is_wanted, False  # no addition begins after this
            self._end_additions(tuple(self._additions))
            self._requests.put_nowait(None)
            if was_wanted:
                self._on_end(code, message)
            await self._link.close_stream_channel(self._channel)
