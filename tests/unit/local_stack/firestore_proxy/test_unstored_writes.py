"""Writes that the emulator has made and the journal does not contain yet."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud.firestore_v1.types import firestore as calls

from local_stack.firestore_proxy import emulator_link
from local_stack.firestore_proxy.emulator_link import SERVICE, EmulatorLink
from local_stack.firestore_proxy.journal import MARKER, Journal, Record
from local_stack.grpc_proxy import identity
from tests.unit.local_stack.firestore_proxy.served_proxy import GUARD_SECONDS, served_proxy

DATABASE = "projects/demo-x/databases/(default)"
TASK = f"{DATABASE}/documents/tasks/t"
READS = ("GetDocument", "RunQuery", "Listen")


class Emulator(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Makes every commit. `commit_error` replaces its response; `commit_waits` delays it."""

    def __init__(self) -> None:
        self.is_marked = False
        self.commits = 0
        self.replayed: list[str] = []
        self.commit_error: grpc.StatusCode | None = None
        self.change = asyncio.Event()
        """Makes the Listen streams send a change."""

    def service(self, details: Any) -> Any:
        name = details.method.removeprefix(SERVICE)
        if name == "Listen":
            return grpc.stream_stream_rpc_method_handler(self._listen)
        if name == "RunQuery":
            return grpc.unary_stream_rpc_method_handler(self._query)
        serve = {"GetDocument": self._get, "Commit": self._commit, "BatchWrite": self._batch_write}[name]
        return grpc.unary_unary_rpc_method_handler(serve)

    async def _get(self, request: bytes, context: Any) -> bytes:
        is_marker = calls.GetDocumentRequest.pb().FromString(request).name == MARKER
        if is_marker and not self.is_marked:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no marker")
        return b""

    async def _commit(self, _request: bytes, context: Any) -> bytes:
        self.commits += 1
        if self.commit_error is not None:
            await context.abort(self.commit_error, "the response is lost")
        response: Any = calls.CommitResponse.pb()()
        response.commit_time.seconds = self.commits
        response.write_results.add().update_time.seconds = self.commits
        return bytes(response.SerializeToString())

    async def _batch_write(self, request: bytes, _context: Any) -> bytes:
        for write in calls.BatchWriteRequest.pb().FromString(request).writes:
            self.replayed.append(write.update.name)
            self.is_marked = self.is_marked or write.update.name == MARKER
        return b""

    async def _query(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b""

    async def _listen(self, _requests: Any, _context: Any) -> AsyncIterator[bytes]:
        yield b""
        await self.change.wait()
        yield b""


class FullDisk(Journal):
    """A journal on a disk that is full until `has_space` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.has_space = False
        self.failed = asyncio.Event()

    def append(self, record: Record) -> None:
        if not self.has_space:
            self.failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(record)


class Saves:
    """The exports that the proxy makes. The first `failures` ones fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.attempts = 0

    def __call__(self) -> None:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise OSError(errno.ENOSPC, "No space left on device")


class Proxy:
    """The proxy's port, as a program uses it."""

    def __init__(self, link: EmulatorLink, channel: grpc.aio.Channel) -> None:
        self.link = link
        self.channel = channel

    def call(self, method: str, request: Any = None, *, seconds: float = GUARD_SECONDS) -> Any:
        body = b"" if request is None else request.SerializeToString()
        call = self.channel.stream_stream(SERVICE + method, identity, identity)
        return call(iter([body]), timeout=seconds)

    def commit(self) -> Any:
        request: Any = calls.CommitRequest.pb()(database=DATABASE)
        request.writes.add().update.name = TASK
        return self.call("Commit", request)


async def status_of(call: Any) -> grpc.StatusCode:
    """Read a call to its end and return its status."""
    with suppress(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    status: grpc.StatusCode = await call.code()
    return status


@asynccontextmanager
async def proxy_of(emulator: Emulator, journal: Journal, saves: Saves | None = None) -> AsyncIterator[Proxy]:
    async with served_proxy(emulator, journal, saves or Saves()) as (link, channel):
        yield Proxy(link, channel)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator_link, "_FULL_DISK_PAUSE_SECONDS", 0.01)


@pytest.mark.parametrize("method", [*READS, "Commit"])
def test_calls_are_refused_while_a_write_is_not_stored(tmp_path: Path, method: str) -> None:
    async def scenario() -> None:
        journal, emulator = FullDisk(tmp_path), Emulator()
        async with proxy_of(emulator, journal) as proxy:
            written = proxy.commit()
            await journal.failed.wait()
            assert not proxy.link.is_open
            refused = proxy.call(method, seconds=0.5)
            assert await status_of(refused) is grpc.StatusCode.UNAVAILABLE
            assert "journal cannot be written" in await refused.details()
            assert emulator.commits == 1
            journal.has_space = True
            assert await status_of(written) is grpc.StatusCode.OK
            assert await status_of(proxy.call("GetDocument")) is grpc.StatusCode.OK

    asyncio.run(scenario())
    assert len(list(Journal(tmp_path).records())) == 1


def test_stream_shows_no_write_before_it_is_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal, emulator = FullDisk(tmp_path), Emulator()
        async with proxy_of(emulator, journal) as proxy:
            stream = proxy.call("Listen", calls.ListenRequest.pb()(database=DATABASE))
            assert await stream.read() == b""
            written = proxy.commit()
            await journal.failed.wait()
            emulator.change.set()
            changed = asyncio.create_task(stream.read())
            await asyncio.wait((changed,), timeout=0.2)
            assert not changed.done()
            journal.has_space = True
            assert await changed == b""
            assert await status_of(written) is grpc.StatusCode.OK

    asyncio.run(scenario())


def test_write_is_stored_when_its_caller_has_disconnected(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = FullDisk(tmp_path)
        async with proxy_of(Emulator(), journal) as proxy:
            written = proxy.commit()
            await journal.failed.wait()
            written.cancel()
            journal.has_space = True
            assert await status_of(proxy.call("GetDocument")) is grpc.StatusCode.OK

    asyncio.run(scenario())
    assert len(list(Journal(tmp_path).records())) == 1


def test_restarted_proxy_saves_before_it_accepts_calls(tmp_path: Path) -> None:
    """The proxy before it may have been killed between a commit and its record."""

    async def scenario() -> None:
        emulator, saves = Emulator(), Saves(failures=2)
        async with proxy_of(emulator, Journal(tmp_path), saves):
            assert saves.attempts == 0  # a new emulator is restored from the journal
            assert emulator.replayed == [MARKER]
        async with proxy_of(emulator, Journal(tmp_path), saves) as proxy:
            assert saves.attempts == 3
            assert await status_of(proxy.call("GetDocument")) is grpc.StatusCode.OK

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "is_saved"),
    [
        (grpc.StatusCode.CANCELLED, True),  # the emulator's answer to a commit during a stream's end
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.FAILED_PRECONDITION, False),
        (grpc.StatusCode.ALREADY_EXISTS, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_write_of_unknown_outcome_is_saved_before_the_next_call(
    tmp_path: Path, error: grpc.StatusCode, is_saved: bool
) -> None:
    async def scenario() -> None:
        emulator, saves = Emulator(), Saves()
        async with proxy_of(emulator, Journal(tmp_path), saves) as proxy:
            emulator.commit_error = error
            assert await status_of(proxy.commit()) is not grpc.StatusCode.OK
            assert await status_of(proxy.call("GetDocument")) is grpc.StatusCode.OK
            assert saves.attempts == (1 if is_saved else 0)

    asyncio.run(scenario())
