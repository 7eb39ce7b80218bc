"""Exports that fail, that a power failure interrupts, and concurrent ones."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local_stack.firestore_proxy.exports import FirestoreExports
from local_stack.firestore_proxy.journal import CallKind, Journal, Record


class Emulator(HTTPServer):
    """Exports a file; with `is_disk_full` no metadata, and `status_when_full`."""

    is_disk_full = False
    status_when_full = 500
    has_request = threading.Event()
    may_respond = threading.Event()


class ExportHandler(BaseHTTPRequestHandler):
    server: Emulator

    def do_GET(self) -> None:
        self._respond(200)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        folder = Path(request["export_directory"]) / request["export_name"]
        folder.mkdir()
        (folder / "output-0").write_bytes(bytes(1_000))
        if self.server.is_disk_full:
            self._respond(self.server.status_when_full)
            return
        (folder / f"{folder.name}.overall_export_metadata").touch()
        self.server.has_request.set()
        self.server.may_respond.wait()
        self._respond(200)

    def _respond(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(("127.0.0.1", 0), ExportHandler) as server:
        server.has_request, server.may_respond = threading.Event(), threading.Event()
        server.may_respond.set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("status", [500, 200])
def test_failed_export_keeps_the_previous_one_and_the_journal(
    emulator: Emulator, tmp_path: Path, status: int
) -> None:
    host = f"127.0.0.1:{emulator.server_port}"
    exports, journal = (
        FirestoreExports(tmp_path / "exports", tmp_path / "journal"),
        Journal(tmp_path / "journal"),
    )
    exports.export(host, "demo-x")
    saved = exports.latest()
    records = [Record(kind=CallKind.COMMIT, request=bytes([number]), response=b"") for number in range(2)]
    for record in records:
        journal.append(record)
        journal.close()  # the next append begins a new segment
    emulator.is_disk_full, emulator.status_when_full = True, status
    with pytest.raises(OSError, match=r"500|the emulator wrote no"):
        exports.export(host, "demo-x")
    assert saved is not None
    assert exports.latest() == saved
    assert {path.name for path in (tmp_path / "exports").glob("export-*")} == {saved.parent.name}
    assert list(journal.records()) == records


def test_disk_has_the_export_and_the_journal_before_older_files_are_deleted(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure at any moment leaves a complete export, and what followed it."""
    host = f"127.0.0.1:{emulator.server_port}"
    folder = tmp_path / "exports"
    exports, journal = FirestoreExports(folder, tmp_path / "journal"), Journal(tmp_path / "journal")
    exports.export(host, "demo-x")
    for number in range(2):
        journal.append(Record(kind=CallKind.COMMIT, request=bytes([number]), response=b""))
        journal.close()
    first, second = sorted(path.name for path in (tmp_path / "journal").iterdir())
    steps = recorded_steps(monkeypatch)
    exports.export(host, "demo-x")
    latest = exports.latest()
    assert latest is not None
    name = latest.parent.name
    *synced, replacing, folder_synced, deleted, discarded = steps
    assert synced.index("sync exports") > max(
        synced.index(f"sync {path}") for path in ("output-0", latest.name, name)
    )
    assert synced[-2:] == [f"sync {second}", "sync .latest.new"]
    assert (replacing, folder_synced) == ("replace latest", "sync exports")
    assert deleted.startswith("delete export-")
    assert discarded == f"delete {first}"


def recorded_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by each fsync, renamed file and deletion."""
    steps: list[str] = []
    real_fsync, real_replace, real_unlink, real_rmtree = os.fsync, Path.replace, Path.unlink, shutil.rmtree

    def synced(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        real_fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        steps.append(f"replace {target.name}")
        return real_replace(self, target)

    def unlinked(self: Path, missing_ok: bool = False) -> None:
        steps.append(f"delete {self.name}")
        real_unlink(self, missing_ok)

    def removed(path: Path, *, ignore_errors: bool) -> None:
        steps.append(f"delete {path.name}")
        real_rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(Path, "unlink", unlinked)
    monkeypatch.setattr(shutil, "rmtree", removed)
    return steps


def test_emulator_starts_with_the_export_that_is_in_progress(emulator: Emulator, tmp_path: Path) -> None:
    """The supervisor and the proxy export; the journal that an export covers is deleted with it."""
    host = f"127.0.0.1:{emulator.server_port}"
    FirestoreExports(tmp_path / "exports", tmp_path / "journal").export(host, "demo-x")
    emulator.may_respond.clear()
    emulator.has_request.clear()
    proxy, supervisor = (FirestoreExports(tmp_path / "exports", tmp_path / "journal") for _ in range(2))
    with ThreadPoolExecutor(2) as threads:
        exporting = threads.submit(proxy.export, host, "demo-x")
        emulator.has_request.wait()
        starting = threads.submit(supervisor.latest)
        with pytest.raises(TimeoutError):
            starting.result(timeout=0.2)
        emulator.may_respond.set()
        exporting.result()
        started_with = starting.result()
    assert started_with is not None
    assert started_with == proxy.latest()
    assert started_with.is_file()


def test_export_deletes_one_that_was_interrupted(emulator: Emulator, tmp_path: Path) -> None:
    exports = FirestoreExports(tmp_path / "exports", tmp_path / "journal")
    interrupted = tmp_path / "exports" / "export-1"
    interrupted.mkdir(parents=True)
    emulator.is_disk_full = True
    with pytest.raises(OSError, match="500"):
        exports.export(f"127.0.0.1:{emulator.server_port}", "demo-x")
    assert not interrupted.exists()
