"""The files under DATA_DIR, which one stack at a time uses.

lock            held (flock) by the running supervisor; the kernel releases it after a crash
state.json      the running stack's ports and processes; while no supervisor runs, the failure that
                stopped the last stack, or the state at a crash
browser-port    the Firestore proxy's port for pages, which the next stack uses again: open pages may
                connect to no other
logs/           one file of bounded size per process, and the older part as `.1`
firestore/      exports of the documents, and a journal of later writes
bucket/         the stored images
traces/         spans of the latest start with --observe, a file per process
"""

import fcntl
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from local_stack.durable_files import replace_file
from local_stack.errors import DataDirectoryUnusableError, StackAlreadyRunningError


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """The state of a running stack, for other processes. Contains no secrets."""

    stack_id: str
    phase: str
    """starting, ready, stopping or failed."""
    supervisor_pid: int
    started_at: str
    page_url: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    pids: Mapping[str, int] = field(default_factory=dict)
    """The process ids of the running processes."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    """The number of restarts per process."""
    notices: tuple[str, ...] = ()
    """Messages printed at the start: ignored variables, models without a worker."""
    failure: str | None = None
    """The process failure that stopped the stack, with the last lines of its log."""


class DataDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.firestore = self.path / "firestore"
        self.firestore_journal = self.firestore / "journal"
        self.bucket = self.path / "bucket"
        self.traces = self.path / "traces"
        self._lock_file: TextIOWrapper | None = None

    def acquire(self) -> None:
        """Lock the folder. Raises StackAlreadyRunningError, DataDirectoryUnusableError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock_file = (self.path / "lock").open("a")
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.close()
            raise StackAlreadyRunningError(self.already_running_message()) from None
        self._lock_file = lock_file

    def release(self) -> None:
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def is_in_use(self) -> bool:
        """Return whether a process holds the lock. Raises DataDirectoryUnusableError."""
        try:
            with (self.path / "lock").open("a") as lock_file:
                fcntl.flock(lock_file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            raise self._unusable(error) from error
        return False

    def make_logs(self) -> None:
        """Create the folder of the logs. Raises DataDirectoryUnusableError."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def delete_traces(self) -> None:
        """Delete the traces of earlier stacks, whose ports and processes no longer exist."""
        for file in self.traces.glob("*.jsonl"):
            file.unlink()

    def state(self) -> StackState | None:
        """Return the stored state; None when there is none, or when it is invalid."""
        try:
            content: dict[str, Any] = json.loads((self.path / "state.json").read_text("utf-8"))
            return StackState(**{**content, "notices": tuple(content.get("notices", ()))})
        except (OSError, ValueError, TypeError):
            return None

    def write_state(self, state: StackState) -> None:
        """Replace the stored state. Raises DataDirectoryUnusableError and keeps it."""
        self._write("state.json", json.dumps(asdict(state), indent=2))

    def clear_state(self) -> None:
        (self.path / "state.json").unlink(missing_ok=True)

    @property
    def browser_port(self) -> int | None:
        """The port that the latest stack stored; None when there is none, or when it is invalid."""
        try:
            return int((self.path / "browser-port").read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def write_browser_port(self, port: int) -> None:
        """Store the port. Raises DataDirectoryUnusableError."""
        self._write("browser-port", str(port))

    def _write(self, name: str, text: str) -> None:
        try:
            replace_file(self.path / name, f"{text}\n")
        except OSError as error:
            raise self._unusable(error) from error

    def not_running_message(self) -> str:
        """Return the message for a directory without a running stack, with the last failure."""
        sentence = f"Nothing is running on {self.path}"
        state = self.state()
        if state is None:
            return f"{sentence}."
        if state.failure is None:
            return (
                f"{sentence}: the stack's supervisor (process {state.supervisor_pid}) exited unexpectedly. "
                f"The logs are in {self.logs}."
            )
        return f"{sentence}. The stack stopped because {state.failure}"

    def already_running_message(self) -> str:
        """Return the message for a directory whose stack is running."""
        state = self.state()
        where = f", its page is {state.page_url}" if state and state.page_url else ""
        who = f" (process {state.supervisor_pid}{where})" if state else ""
        return (
            f"A stack is already running on {self.path}{who}. "
            f"Stop it with `make down`, or use another directory with DATA_DIR=…"
        )

    def _unusable(self, error: OSError) -> DataDirectoryUnusableError:
        return DataDirectoryUnusableError(
            f"{self.path} cannot be used for state and logs: {error.strerror}. Use another directory with DATA_DIR=…"
        )
