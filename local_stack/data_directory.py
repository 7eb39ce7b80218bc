"""The files under DATA_DIR. One stack at a time uses it, guarded by a lock that the kernel releases after a crash.

lock            held (flock) by the running supervisor
state.json      the running stack's ports and processes; without a lock holder, the cause of its end or
                the leftovers of a crash
logs/           one file of bounded size per process, and the older part as `.1`
firestore/      exports of the documents, and a journal of later writes
bucket/         the stored images
traces/         spans of the latest start with --observe, a file per process
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

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
    """The process ids of the currently running processes."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    """The number of restarts per process."""
    notices: tuple[str, ...] = ()
    """Messages printed at the start: ignored variables, models without a worker."""
    failure: str | None = None
    """The process that ended the stack, and the last lines of its log."""


class DataDirectory:
    """The folder of one stack."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.firestore = self.path / "firestore"
        self.firestore_journal = self.firestore / "journal"
        self.bucket = self.path / "bucket"
        self.traces = self.path / "traces"
        self._lock_file: TextIOWrapper | None = None

    def acquire(self) -> None:
        """Lock the folder for this process.

        Raises StackAlreadyRunningError and DataDirectoryUnusableError.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock_file = (self.path / "lock").open("a")
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.close()
            raise StackAlreadyRunningError(self.occupied_by()) from None
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

    def forget_traces(self) -> None:
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
        temporary = self.path / ".state.json.new"
        temporary.write_text(json.dumps(asdict(state), indent=2) + "\n", "utf-8")
        os.replace(temporary, self.path / "state.json")  # noqa: PTH105 - the name says what happens

    def clear_state(self) -> None:
        (self.path / "state.json").unlink(missing_ok=True)

    def why_nothing_runs(self) -> str:
        """Return a message that no stack is running, with the failure that ended the last one, if
        there was one.
        """
        sentence = f"Nothing is running on {self.path}"
        state = self.state()
        if state is None:
            return f"{sentence}."
        if state.failure is None:
            return (
                f"{sentence}: the stack's supervisor (process {state.supervisor_pid}) ended without a word. "
                f"The logs are in {self.logs}."
            )
        return f"{sentence}. The stack ended because {state.failure}"

    def occupied_by(self) -> str:
        """Return a message that a stack is already running."""
        state = self.state()
        where = f", its page is {state.page_url}" if state and state.page_url else ""
        who = f" (process {state.supervisor_pid}{where})" if state else ""
        return (
            f"A stack is already running on {self.path}{who}. "
            f"Stop it with `make down`, or start this one elsewhere with DATA_DIR=…"
        )

    def _unusable(self, error: OSError) -> DataDirectoryUnusableError:
        return DataDirectoryUnusableError(
            f"{self.path} cannot hold state and logs: {error.strerror}. Choose another folder with DATA_DIR=…"
        )
