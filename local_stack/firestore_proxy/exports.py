"""Exports of the Firestore emulator's documents, and the lookup of the latest complete one.

The emulator's own --export-on-exit writes nothing when a signal ends it; its REST export works. An
export is valid when the file `latest` names it. That file is replaced once the disk has the export
and the journal. The export's name ends in the number of the first segment that it does not cover.
The earlier segments and exports are deleted then, or before the emulator starts with it.
"""

import fcntl
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local_stack.durable_files import replace_file, sync, sync_tree
from local_stack.firestore_proxy.journal import MARKER, Journal
from local_stack.loopback import send

FIRESTORE_OWNER = {"Authorization": "Bearer owner"}
"""The emulator's administrator, who bypasses the security rules."""
_TIMEOUT_SECONDS = 60
_LONG_JOURNAL_BYTES = 64_000_000
"""Replaying this much takes seconds, so a longer journal triggers an early export."""
_POLL_SECONDS = 1.0


class FirestoreExports:
    """The exports in one folder. One export at a time, of all threads and processes."""

    def __init__(self, folder: Path, journal_folder: Path) -> None:
        self._folder = folder
        self._journal = Journal(journal_folder)

    def latest(self) -> Path | None:
        """Return the file to start the emulator with; None before the first export.

        Waits for an export in progress: it may replace the file. Deletes the segments that it covers,
        which a killed export has left: their replay would replace documents by older ones.
        """
        with self._locked():
            name = self._latest_name()
            path = self._metadata_file(name)
            if not path.is_file():
                return None
            self._delete_all_before(name)
            return path

    def export(self, host: str, project_id: str) -> None:
        """Export all documents. Raises OSError and keeps the previous export on failure."""
        with self._locked():
            # Fails while the emulator has just started and the proxy has not replayed the journal.
            _call(f"http://{host}/v1/{MARKER}")
            self._delete_all_before(self._latest_name())  # what an interrupted export has left
            name = f"export-{time.time_ns()}-{self._journal.begin_segment()}"
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
                sync_tree(self._folder / name)
            except OSError:
                shutil.rmtree(self._folder / name, ignore_errors=True)  # incomplete, when the disk is full
                raise
            sync(self._folder)
            # A journal whose end is lost would replace documents of the export by older ones.
            self._journal.sync()
            replace_file(self._folder / "latest", name + "\n")
            self._delete_all_before(name)

    def journal_is_long(self) -> bool:
        """Return whether the journal is long enough to trigger an early export."""
        return self._journal.size_bytes() > _LONG_JOURNAL_BYTES

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _latest_name(self) -> str:
        try:
            return (self._folder / "latest").read_text("utf-8").strip()
        except FileNotFoundError:
            return ""

    def _delete_all_before(self, name: str) -> None:
        """Delete all other exports, and the segments that this one covers."""
        for path in self._folder.glob("export-*"):
            if path.name != name:
                shutil.rmtree(path, ignore_errors=True)
        _, _, uncovered = name.removeprefix("export-").partition("-")
        if uncovered:  # earlier versions did not name it
            self._journal.discard_before(int(uncovered))

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
