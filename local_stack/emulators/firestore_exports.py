"""Exports of the Firestore emulator's documents, and the lookup of the latest complete one.

The emulator's own --export-on-exit writes nothing when a signal ends it; its REST export works. An
export is valid when the file `latest` names it, and that file is replaced as the last step. Then
the segments of the Firestore proxy's journal that the export covers are deleted.
"""

import json
import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from local_stack.emulators.process_specs import FIRESTORE_OWNER
from local_stack.firestore_proxy.journal import Journal
from local_stack.firestore_proxy.marker import MARKER
from local_stack.loopback import open_loopback

_TIMEOUT_SECONDS = 60
_LONG_JOURNAL_BYTES = 64_000_000
"""Replaying this much takes seconds, so a longer journal triggers an early export."""
_LOOK_SECONDS = 1.0


class FirestoreExports:
    """The exports in one folder. Thread-safe: one export at a time."""

    def __init__(self, folder: Path, journal_folder: Path) -> None:
        self._folder = folder
        self._journal = Journal(journal_folder)
        self._lock = threading.Lock()

    def latest(self) -> Path | None:
        """Return the file to start the emulator with; None before the first export."""
        try:
            name = (self._folder / "latest").read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        path = self._metadata_file(name)
        return path if path.is_file() else None

    def export(self, host: str, project_id: str) -> None:
        """Export all documents.

        Raises OSError when the emulator does not answer, refuses or is not restored yet; the
        previous export then stays.
        """
        with self._lock:
            began_ns = time.time_ns()
            self._check_restored(host)
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"export-{time.time_ns()}"
            body = {
                "database": f"projects/{project_id}/databases/(default)",
                "export_directory": str(self._folder),
                "export_name": name,
            }
            request = urllib.request.Request(
                f"http://{host}/emulator/v1/projects/{project_id}:export",
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **FIRESTORE_OWNER},
            )
            try:
                with open_loopback(request, timeout_seconds=_TIMEOUT_SECONDS):
                    pass
                if not self._metadata_file(name).is_file():
                    raise FileNotFoundError(f"the emulator wrote no {self._metadata_file(name)}")
            except OSError:
                shutil.rmtree(
                    self._folder / name, ignore_errors=True
                )  # what it wrote until the disk was full
                raise
            temporary = self._folder / ".latest.new"
            temporary.write_text(name + "\n", "utf-8")
            os.replace(temporary, self._folder / "latest")  # noqa: PTH105 - the name says what happens
            self._forget_all_but(name)
            self._journal.discard_before(began_ns)

    def journal_is_long(self) -> bool:
        """Return whether the journal is long enough to trigger an early export."""
        return self._journal.size_bytes() > _LONG_JOURNAL_BYTES

    def _check_restored(self, host: str) -> None:
        """Raise OSError when the emulator has just started and the proxy has not replayed the
        journal yet.
        """
        request = urllib.request.Request(f"http://{host}/v1/{MARKER}", headers=FIRESTORE_OWNER)
        with open_loopback(request, timeout_seconds=_TIMEOUT_SECONDS):
            return

    def _forget_all_but(self, name: str) -> None:
        for path in self._folder.glob("export-*"):
            if path.name != name:
                shutil.rmtree(path, ignore_errors=True)

    def _metadata_file(self, name: str) -> Path:
        return self._folder / name / f"{name}.overall_export_metadata"


class PeriodicExport:
    """Exports periodically in a thread, so that the journal stays short."""

    def __init__(
        self,
        export: Callable[[], None],
        *,
        interval_seconds: float,
        is_due: Callable[[], bool] = lambda: False,
    ) -> None:
        """Create the thread.

        It calls `export` after each interval, and earlier when `is_due`. `export` may raise
        OSError.
        """
        self._export = export
        self._is_due = is_due
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="periodic-export", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for a running export."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        exported_at = time.monotonic()
        while not self._stopping.wait(min(_LOOK_SECONDS, self._interval_seconds)):
            try:
                if time.monotonic() - exported_at < self._interval_seconds and not self._is_due():
                    continue
                exported_at = time.monotonic()
                self._export()
            except OSError:  # the emulator is busy or has ended; the supervisor restarts it
                continue
