"""What lies under DATA_DIR, and whose it is: one stack at a time, guarded by a lock that a crash releases by itself.

lock            held (flock) by the running supervisor
state.json      the running stack's ports and processes; when nobody holds the lock, why it ended or a crash's leftover
logs/           one file of bounded size per process, and what was logged before as `.1`
firestore/      exports of the documents, and a journal of what was written since
bucket/         the stored images
traces/         spans of the latest start that was to be observed, a file per process
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
    """What another process may want to know about a running stack. Holds no secrets."""

    stack_id: str
    phase: str
    """starting, ready, stopping or failed."""
    supervisor_pid: int
    started_at: str
    page_url: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    pids: Mapping[str, int] = field(default_factory=dict)
    """Of those that run just now."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    """How many times each was started again after it had ended by itself."""
    notices: tuple[str, ...] = ()
    """What the stack said when it was started: variables it ignored, models without a worker."""
    failure: str | None = None
    """Which process ended the stack, and the last lines of its log."""


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
        """Make it this process's. Raises StackAlreadyRunningError and DataDirectoryUnusableError."""
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
        """Whether some process holds the lock. Raises DataDirectoryUnusableError."""
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
        """The folder of the logs. Raises DataDirectoryUnusableError."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def forget_traces(self) -> None:
        """Begin anew: traces of a stack that has ended tell of ports and processes that are no more."""
        for file in self.traces.glob("*.jsonl"):
            file.unlink()

    def state(self) -> StackState | None:
        """What the last writer wrote; None when there is nothing, or nothing legible."""
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
        """A sentence for whoever thought that a stack was running; names what ended the last one, if something did."""
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
        """A sentence for whoever wanted to start a second one."""
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
