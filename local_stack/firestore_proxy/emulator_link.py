"""The connection to the emulator. Calls wait while it restarts and is restored.

Each run of the emulator gets its own channel, which is handed out only after the journal has been
replayed. A marker document, in a project that no export covers, distinguishes a restored emulator
from one that has just started.

A restart of the emulator undoes a write that the journal lacks. So no call is answered while a
record cannot be stored. A connection to an emulator that is restored already begins with an export,
because earlier connections may have left writes whose responses were lost.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import structlog
from google.cloud.firestore_v1.types import firestore as calls

from local_stack.firestore_proxy.journal import MARKER, MARKER_DATABASE, CallKind, Journal, Record
from local_stack.firestore_proxy.replay import batches
from local_stack.firestore_proxy.target_gate import TargetGate
from local_stack.grpc_proxy import identity

logger = structlog.get_logger(__name__)

SERVICE = "/google.firestore.v1.Firestore/"
OWNER = (("authorization", "Bearer owner"),)
"""Metadata of the emulator's administrator, who is exempt from security rules."""

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # in spite of its name the limit of one attempt
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.client_idle_timeout_ms", 2_147_483_647),
    # Without this, two channels to one address share a connection, and one run's calls could reach
    # the next run.
    ("grpc.use_local_subchannel_pool", 1),
)
MAX_WAIT_SECONDS = 20.0
"""The longest wait of a call for an emulator that is restarting."""
_SPARE_SECONDS = 0.25
"""A waiting call fails this long before its deadline, so that its caller gets the error."""
_TIMEOUT_SECONDS = 10
_NOT_SENT = "Internal error from Core"
_PAUSE_SECONDS = 0.1
_FULL_DISK_PAUSE_SECONDS = 1.0


def is_from_grpc(error: grpc.aio.AioRpcError) -> bool:
    """Return whether this process's gRPC ended the call, not the emulator.

    gRPC usually raises asyncio.CancelledError when a channel is closed. It raises this error
    instead if a stream's status is still missing then, or if a request could not be sent.
    """
    return error.code() is grpc.StatusCode.CANCELLED or error.details() == _NOT_SENT


class EmulatorUnavailableError(Exception):
    """Raised when no restored emulator is connected within the time that a call may wait."""


class EmulatorLink:
    """Runs `keep_connected` in a task. All methods belong to one event loop."""

    def __init__(self, address: str, journal: Journal, *, save: Callable[[], None]) -> None:
        """`save` exports all documents. It runs in a thread, and raises OSError."""
        self._address = address
        self._journal = journal
        self._save = save
        self._channel: grpc.aio.Channel | None = None
        self._stream_channels: set[grpc.aio.Channel] = set()
        self._is_connected = asyncio.Event()
        self._is_in_doubt = asyncio.Event()
        self._sent = 0
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._unstored = 0
        self._all_stored = asyncio.Event()
        self._all_stored.set()
        self.gate = TargetGate()

    @property
    def is_open(self) -> bool:
        """Whether calls currently reach a restored emulator."""
        return self._is_connected.is_set() and self._all_stored.is_set()

    @property
    def stored_records(self) -> int:
        """How many records were stored so far."""
        return self._journal.appended

    @contextmanager
    def sent_write(self) -> Iterator[None]:
        """Wrap the wait for a write's response: meanwhile a connection in doubt is not closed.

        Closing it would leave the outcome of this write unknown, too, and the emulator may make the
        write after the export with which the next connection begins.
        """
        self._sent += 1
        self._all_answered.clear()
        try:
            yield
        finally:
            self._sent -= 1
            if not self._sent:
                self._all_answered.set()

    async def store(self, kind: CallKind, request: bytes, response: bytes, *, sent_at: int) -> None:
        """Store a write in the journal. `sent_at` are the stored records when it was sent.

        While the disk is full, no other call reaches the emulator.
        """
        self._unstored += 1
        try:
            while True:
                overlap = self._journal.appended - sent_at
                record = Record(kind=kind, request=request, response=response, overlap=overlap)
                try:
                    return self._journal.append(record)
                except OSError as error:
                    logger.error("journal_not_written", reason=str(error))
                self._all_stored.clear()
                await asyncio.sleep(_FULL_DISK_PAUSE_SECONDS)
        finally:
            self._unstored -= 1
            if not self._unstored:
                self._all_stored.set()

    async def all_stored(self) -> None:
        """Return when the journal has every write that a call may have read."""
        await self._all_stored.wait()

    def doubt(self) -> None:
        """Connect again: the emulator may have made a write whose response was lost."""
        logger.warning("firestore_write_in_doubt")
        self._is_in_doubt.set()
        self._is_connected.clear()

    async def channel(self, remaining_seconds: float | None) -> grpc.aio.Channel:
        """Wait for the channel to the restored emulator. Raises EmulatorUnavailableError."""
        if not self.is_open:
            wait = MAX_WAIT_SECONDS if remaining_seconds is None else remaining_seconds - _SPARE_SECONDS
            try:
                async with asyncio.timeout(max(0.0, min(wait, MAX_WAIT_SECONDS))):
                    await self._is_connected.wait()
                    await self._all_stored.wait()
            except TimeoutError:
                raise EmulatorUnavailableError(
                    "The Firestore emulator is restarting."
                    if self._all_stored.is_set()
                    else "The journal cannot be written: the disk is full or has failed."
                ) from None
        if self._channel is None:
            raise EmulatorUnavailableError("The Firestore emulator is restarting.")
        return self._channel

    async def stream_channel(self, remaining_seconds: float | None) -> grpc.aio.Channel:
        """Return a connection for one Listen stream; the caller closes it.

        The emulator may write to a stream from two threads, which breaks its whole connection.
        """
        await self.channel(remaining_seconds)
        channel = grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
        self._stream_channels.add(channel)
        return channel

    async def close_stream_channel(self, channel: grpc.aio.Channel) -> None:
        """Close a channel from `stream_channel`."""
        self._stream_channels.discard(channel)
        await channel.close(None)

    async def keep_connected(self) -> None:
        """Connect, restore and watch the emulator in an endless loop."""
        while True:
            channel = grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
            try:
                await channel.channel_ready()
                self._is_in_doubt.clear()
                await self._restore(channel)
                self._channel = channel
                self._is_connected.set()
                await self._until_lost_or_in_doubt(channel)
                await self._all_answered.wait()  # a write ends with the connection, or after a minute
                logger.warning("firestore_emulator_lost")
            except grpc.aio.AioRpcError as error:
                logger.warning("firestore_emulator_not_restored", reason=error.details())
                await asyncio.sleep(_PAUSE_SECONDS)
            except OSError as error:
                logger.warning("firestore_emulator_not_saved", reason=str(error))
                await asyncio.sleep(_FULL_DISK_PAUSE_SECONDS)
            finally:
                self._is_connected.clear()
                self._channel = None
                for lost in (channel, *tuple(self._stream_channels)):
                    with suppress(asyncio.CancelledError):
                        await self.close_stream_channel(lost)

    async def _restore(self, channel: grpc.aio.Channel) -> None:
        """Replay the journal, or export a run that is already restored.

        Raises AioRpcError, and OSError when it cannot be exported.
        """
        batch_write = channel.unary_unary(SERVICE + "BatchWrite", identity, identity)
        await self.all_stored()
        if await _is_marked(channel):
            await asyncio.to_thread(self._save)
            return
        began = asyncio.get_running_loop().time()
        requests = await asyncio.to_thread(
            lambda: [one.SerializeToString() for one in batches(self._journal.records())]
        )
        writes = 0
        for request in requests:
            response = calls.BatchWriteResponse.pb().FromString(
                await batch_write(request, timeout=_TIMEOUT_SECONDS, metadata=OWNER)
            )
            writes += len(response.status)
            for status in response.status:
                if status.code:
                    logger.error("journal_write_refused", code=status.code, reason=status.message)
        marker = calls.BatchWriteRequest.pb()(database=MARKER_DATABASE)
        marker.writes.add().update.name = MARKER
        await batch_write(marker.SerializeToString(), timeout=_TIMEOUT_SECONDS, metadata=OWNER)
        seconds = round(asyncio.get_running_loop().time() - began, 3)
        logger.info("firestore_emulator_restored", documents_written=writes, seconds=seconds)

    async def _until_lost_or_in_doubt(self, channel: grpc.aio.Channel) -> None:
        ends = {asyncio.create_task(_until_lost(channel)), asyncio.create_task(self._is_in_doubt.wait())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()


async def _is_marked(channel: grpc.aio.Channel) -> bool:
    get = channel.unary_unary(SERVICE + "GetDocument", identity, identity)
    request: Any = calls.GetDocumentRequest.pb()(name=MARKER)
    try:
        await get(request.SerializeToString(), timeout=_TIMEOUT_SECONDS, metadata=OWNER)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return False
        raise
    return True


async def _until_lost(channel: grpc.aio.Channel) -> None:
    state = channel.get_state()
    while state is grpc.ChannelConnectivity.READY:
        await channel.wait_for_state_change(state)
        state = channel.get_state()
