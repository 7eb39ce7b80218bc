"""Exports of the Firestore emulator's documents, and the lookup of the latest complete one.

The emulator's own --export-on-exit writes nothing when a signal ends it; its REST export works. An
export is valid when the file `latest` names it, and that file is replaced as the last step. Then
the segments of the Firestore proxy's journal that the export covers are deleted.
"""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local_stack.emulators.process_specs import FIRESTORE_OWNER
from local_stack.firestore_proxy.journal import MARKER, Journal
from local_stack.loopback import send

_TIMEOUT_SECONDS = 60
_LONG_JOURNAL_BYTES = 64_000_000
"""Replaying this much takes seconds, so a longer journal triggers an early export."""
_POLL_SECONDS = 1.0


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
        """Export all documents. Raises OSError and keeps the previous export on failure."""
        with self._lock:
            began_ns = time.time_ns()
            # Fails while the emulator has just started and the proxy has not replayed the journal.
            _call(f"http://{host}/v1/{MARKER}")
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"export-{time.time_ns()}"
            try:
                _call(
                    f"http://{host}/emulator/v1/projects/{project_id}:export",
                    method="POST",
                    content={
                        "database": f"projects/{project_id}/databases/(default)",
                        "export_directory": str(self._folder),
                        "export_name": name,
                    },
                )
                if not self._metadata_file(name).is_file():
                    raise FileNotFoundError(f"the emulator wrote no {self._metadata_file(name)}")
            except OSError:
                shutil.rmtree(self._folder / name, ignore_errors=True)  # incomplete, when the disk is full
                raise
            temporary = self._folder / ".latest.new"
            temporary.write_text(name + "\n", "utf-8")
            temporary.replace(self._folder / "latest")
            self._delete_all_but(name)
            self._journal.discard_before(began_ns)

    def journal_is_long(self) -> bool:
        """Return whether the journal is long enough to trigger an early export."""
        return self._journal.size_bytes() > _LONG_JOURNAL_BYTES

    def _delete_all_but(self, name: str) -> None:
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
        """`export` is called after each interval, and earlier when `is_due`."""
        self._export = export
        self._is_due = is_due
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="periodic-export", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        exported_at = time.monotonic()
        while not self._stopping.wait(min(_POLL_SECONDS, self._interval_seconds)):
            try:
                if time.monotonic() - exported_at < self._interval_seconds and not self._is_due():
                    continue
                exported_at = time.monotonic()
                self._export()
            except OSError:  # the emulator is busy or has ended; the supervisor restarts it
                continue


def _call(url: str, *, method: str = "GET", content: Mapping[str, object] | None = None) -> None:
    response = send(
        url, method=method, content=content, headers=FIRESTORE_OWNER, timeout_seconds=_TIMEOUT_SECONDS
    )
    if response.status != 200:
        raise OSError(f"{url} returned {response.status}")
