"""Exports that fail, that a power failure interrupts, and concurrent ones."""

import json
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
    emulator: Emulator, tmp_path: Path, file_steps: list[tuple[str, Path]]
) -> None:
    """A power failure at any moment leaves a complete export, and what followed it."""
    host = f"127.0.0.1:{emulator.server_port}"
    folder = tmp_path / "exports"
    exports, journal = FirestoreExports(folder, tmp_path / "journal"), Journal(tmp_path / "journal")
    exports.export(host, "demo-x")
    older = exports.latest()
    journal.append(Record(kind=CallKind.COMMIT, request=b"", response=b""))
    [first] = (tmp_path / "journal").iterdir()
    file_steps.clear()
    exports.export(host, "demo-x")
    newer = exports.latest()
    assert older is not None
    assert newer is not None
    [second] = (tmp_path / "journal").iterdir()
    written = [("sync", newer.parent / "output-0"), ("sync", newer), ("sync", newer.parent)]
    steps = [step for step in file_steps if step[0] != "create" or step[1] == second]
    assert steps[:2] == [("create", second), ("sync", second.parent)]
    assert sorted(steps[2:5]) == sorted(written)
    assert steps[5:] == [
        ("sync", folder),
        ("sync", first),
        ("sync", second),
        ("sync", folder / ".latest.new"),
        ("rename", folder / "latest"),
        ("sync", folder),
        ("delete", older.parent),
        ("delete", first),
    ]


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
