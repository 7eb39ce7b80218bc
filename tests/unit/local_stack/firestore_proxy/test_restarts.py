"""Emulators that end after writes that the journal lacks: exports, journal and replay together."""

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud.firestore_v1.types import firestore as calls

from local_stack.firestore_proxy.emulator_link import SERVICE
from local_stack.firestore_proxy.exports import FirestoreExports
from local_stack.firestore_proxy.journal import MARKER, Journal, Record
from local_stack.grpc_proxy import identity
from tests.unit.local_stack.firestore_proxy.served_proxy import GUARD_SECONDS, served_proxy

DATABASE = "projects/demo-x/databases/(default)"
TASK = f"{DATABASE}/documents/tasks/t"
OTHER_TASK = f"{DATABASE}/documents/tasks/u"


class Emulator(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Keeps one number for each document. Its exports, unlike a run, do not contain the marker."""

    def __init__(self, documents: dict[str, int]) -> None:
        self.documents = documents
        self.loses_response = False
        self.receives_batch = asyncio.Event()
        self.answers_batches = asyncio.Event()
        self.answers_batches.set()

    def service(self, details: Any) -> Any:
        name = details.method.removeprefix(SERVICE)
        serve = {"GetDocument": self._get, "Commit": self._commit, "BatchWrite": self._batch_write}[name]
        return grpc.unary_unary_rpc_method_handler(serve)

    async def _get(self, request: bytes, context: Any) -> bytes:
        if calls.GetDocumentRequest.pb().FromString(request).name not in self.documents:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no document")
        return b""

    async def _commit(self, request: bytes, context: Any) -> bytes:
        self._write(calls.CommitRequest.pb().FromString(request))
        if self.loses_response:
            await context.abort(grpc.StatusCode.CANCELLED, "call already cancelled")
        response: Any = calls.CommitResponse.pb()()
        response.write_results.add()
        return bytes(response.SerializeToString())

    async def _batch_write(self, request: bytes, _context: Any) -> bytes:
        self.receives_batch.set()
        await self.answers_batches.wait()
        batch: Any = calls.BatchWriteRequest.pb().FromString(request)
        self._write(batch)
        response: Any = calls.BatchWriteResponse.pb()()
        for _ in batch.writes:
            response.write_results.add()
            response.status.add()
        return bytes(response.SerializeToString())

    def _write(self, request: Any) -> None:
        for write in request.writes:
            self.documents[write.update.name] = write.update.fields["step"].integer_value


class Rest(HTTPServer):
    """The emulator's REST interface."""

    emulator: Emulator


class RestHandler(BaseHTTPRequestHandler):
    server: Rest

    def do_GET(self) -> None:
        self._respond(200 if self.path.removeprefix("/v1/") in self.server.emulator.documents else 404)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        folder = Path(request["export_directory"]) / request["export_name"]
        folder.mkdir()
        documents = {name: step for name, step in self.server.emulator.documents.items() if name != MARKER}
        (folder / f"{folder.name}.overall_export_metadata").write_text(json.dumps(documents))
        self._respond(200)

    def _respond(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


class Machine:
    """The stack's folders, its emulator, and the exports of its supervisor."""

    def __init__(self, folder: Path, rest: Rest) -> None:
        self.journal = folder / "journal"
        self.exports = FirestoreExports(folder / "exports", self.journal)
        self.save = partial(self.exports.export, f"127.0.0.1:{rest.server_port}", "demo-x")
        self._rest = rest
        self.start_emulator()

    @property
    def emulator(self) -> Emulator:
        return self._rest.emulator

    def start_emulator(self) -> None:
        exported = self.exports.latest()
        self._rest.emulator = Emulator({} if exported is None else json.loads(exported.read_text()))

    @asynccontextmanager
    async def proxy(self, journal: Journal | None = None) -> AsyncIterator["Proxy"]:
        """Run the emulator's gRPC server and a proxy."""
        async with served_proxy(self.emulator, journal or Journal(self.journal), self.save) as (_, channel):
            yield Proxy(channel)

    async def step_after_a_restart(self) -> int:
        """Start an emulator with the latest export, and return the task's step after the replay."""
        self.start_emulator()
        async with self.proxy():
            return self.emulator.documents[TASK]


class Proxy:
    """The proxy's port, as a program uses it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def write(self, step: int) -> None:
        request: Any = calls.CommitRequest.pb()(database=DATABASE)
        request.writes.add().update.name = TASK
        request.writes[0].update.fields["step"].integer_value = step
        await self._call("Commit", request)

    async def write_batch(self, step: int) -> None:
        request: Any = calls.BatchWriteRequest.pb()(database=DATABASE)
        request.writes.add().update.name = OTHER_TASK
        request.writes[0].update.fields["step"].integer_value = step
        await self._call("BatchWrite", request)

    async def read(self) -> None:
        await self._call("GetDocument", calls.GetDocumentRequest.pb()(name=TASK))

    async def _call(self, method: str, request: Any) -> None:
        call = self._channel.unary_unary(SERVICE + method, identity, identity)
        await call(request.SerializeToString(), timeout=GUARD_SECONDS)


class KilledBeforeRecord(Journal):
    """The journal of a proxy that is killed after the emulator has made its second write."""

    def append(self, record: Record) -> None:
        if self.appended:
            raise RuntimeError("killed")
        super().append(record)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Rest(("127.0.0.1", 0), RestHandler) as rest:
        threading.Thread(target=rest.serve_forever, daemon=True).start()
        yield Machine(tmp_path, rest)
        rest.shutdown()


def test_write_whose_response_was_lost_survives_a_restart(machine: Machine) -> None:
    async def scenario() -> int:
        async with machine.proxy() as proxy:
            await proxy.write(1)
            machine.emulator.loses_response = True
            with pytest.raises(grpc.aio.AioRpcError):
                await proxy.write(2)
            await proxy.read()
        return await machine.step_after_a_restart()

    assert asyncio.run(scenario()) == 2


def test_write_in_progress_while_another_response_is_lost_survives_a_restart(machine: Machine) -> None:
    """The emulator makes it after the export that saves the other one."""

    async def scenario() -> int:
        async with machine.proxy() as proxy:
            await proxy.write(1)
            machine.emulator.receives_batch.clear()
            machine.emulator.answers_batches.clear()
            batch = asyncio.create_task(proxy.write_batch(5))
            await machine.emulator.receives_batch.wait()
            machine.emulator.loses_response = True
            with pytest.raises(grpc.aio.AioRpcError):
                await proxy.write(2)
            machine.emulator.answers_batches.set()
            await batch
            await proxy.read()
        assert await machine.step_after_a_restart() == 2
        return machine.emulator.documents[OTHER_TASK]

    assert asyncio.run(scenario()) == 5


def test_write_of_a_killed_proxy_survives_a_restart(machine: Machine) -> None:
    async def scenario() -> int:
        async with machine.proxy(KilledBeforeRecord(machine.journal)) as proxy:
            await proxy.write(1)
            with pytest.raises(grpc.aio.AioRpcError):
                await proxy.write(2)
        async with machine.proxy() as proxy:
            await proxy.read()
        return await machine.step_after_a_restart()

    assert asyncio.run(scenario()) == 2


def test_write_of_a_killed_proxy_survives_a_stop(machine: Machine) -> None:
    """The supervisor exports when it has ended the proxy."""

    async def scenario() -> int:
        async with machine.proxy(KilledBeforeRecord(machine.journal)) as proxy:
            await proxy.write(1)
            with pytest.raises(grpc.aio.AioRpcError):
                await proxy.write(2)
        machine.save()
        return await machine.step_after_a_restart()

    assert asyncio.run(scenario()) == 2


def test_writes_during_and_after_an_export_survive_a_restart(machine: Machine) -> None:
    async def scenario() -> list[int]:
        steps = []
        async with machine.proxy() as proxy:
            await proxy.write(1)
            await asyncio.to_thread(machine.save)
            await proxy.write(2)
        steps.append(await machine.step_after_a_restart())
        async with machine.proxy() as proxy:
            await proxy.write(3)
        steps.append(await machine.step_after_a_restart())
        return steps

    assert asyncio.run(scenario()) == [2, 3]


def test_segments_that_an_export_covers_are_not_replayed(machine: Machine, tmp_path: Path) -> None:
    """The export was complete when its process was killed, before it deleted the segments."""

    async def scenario() -> int:
        async with machine.proxy(KilledBeforeRecord(machine.journal)) as proxy:
            await proxy.write(1)
            with pytest.raises(grpc.aio.AioRpcError):
                await proxy.write(2)
        shutil.copytree(machine.journal, tmp_path / "undeleted")
        machine.save()
        shutil.copytree(tmp_path / "undeleted", machine.journal, dirs_exist_ok=True)
        return await machine.step_after_a_restart()

    assert asyncio.run(scenario()) == 2


def test_export_of_an_earlier_version_replaces_the_one_of_a_stop(machine: Machine) -> None:
    """An earlier version reads no segments: its exports are newer than the ones that it finds."""

    async def scenario() -> int:
        async with machine.proxy() as proxy:
            await proxy.write(1)
        machine.save()
        saved = machine.exports.latest()
        assert saved is not None
        # The earlier version starts with this export, changes the task, and exports it.
        folder = saved.parent.parent / "export-1764480000000000000"
        folder.mkdir()
        (folder / f"{folder.name}.overall_export_metadata").write_text(json.dumps({TASK: 2}))
        (folder.parent / "latest").write_text(f"{folder.name}\n")
        return await machine.step_after_a_restart()

    assert asyncio.run(scenario()) == 2


def test_export_and_journal_of_an_earlier_version_are_restored(machine: Machine) -> None:
    """Its exports do not name the segments that they cover, so all are replayed."""

    async def scenario() -> int:
        async with machine.proxy() as proxy:
            await proxy.write(1)
            await asyncio.to_thread(machine.save)
            await proxy.write(2)
        saved = machine.exports.latest()
        assert saved is not None
        folder = saved.parent.parent / "export-1764480000000000000"
        folder.mkdir()
        (folder / f"{folder.name}.overall_export_metadata").write_text(saved.read_text())
        (folder.parent / "latest").write_text(f"{folder.name}\n")
        return await machine.step_after_a_restart()

    assert asyncio.run(scenario()) == 2
