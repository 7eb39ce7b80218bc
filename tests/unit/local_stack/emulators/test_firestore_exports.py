"""A failed export replaces nothing and leaves no files."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local_stack.emulators.firestore_exports import FirestoreExports
from local_stack.firestore_proxy.journal import CallKind, Journal, Record


class Emulator(HTTPServer):
    """Exports a file; with `is_disk_full` no metadata, and `status_when_full`."""

    is_disk_full = False
    status_when_full = 500


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
