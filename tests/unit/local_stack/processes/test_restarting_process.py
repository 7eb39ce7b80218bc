"""Restarts of processes that exited by themselves, with real processes and short intervals."""

import errno
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from local_stack.errors import ProcessFailedError
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.process_end import ended_within
from local_stack.processes.restarting_process import RestartPolicy
from local_stack.processes.supervisor import Supervisor
from tests.unit.local_stack.conftest import ProgramMaker

FAST = RestartPolicy(first_backoff_seconds=0.01, max_backoff_seconds=0.04, max_failed_starts=3)
SLEEPS = "ready(); time.sleep(600)"
FIRST_START_SUCCEEDS = """
    starts = pathlib.Path(__file__).with_suffix(".starts")
    starts.open("a").write("x")
    if len(starts.read_text()) == 1:
        ready(); time.sleep(600)
"""
"""Becomes ready at the first start only; tests append the code of later starts."""


class WatchedSupervisor:
    """A supervisor that watches in its own thread until the context ends."""

    def __init__(self, folder: Path, *specs: ProcessSpec, policy: RestartPolicy = FAST) -> None:
        self.notices: SimpleQueue[str] = SimpleQueue()
        self.failure: ProcessFailedError | None = None
        self.supervisor = Supervisor(
            logs_directory=folder / "logs", stack_id=uuid.uuid4().hex, restart_policy=policy
        )
        self._specs = specs
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "WatchedSupervisor":
        self.supervisor.start(*self._specs)
        self.supervisor.wait_until_ready()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.supervisor:
            self.supervisor.interrupted.set()
            self._thread.join()

    def raised_failure(self) -> ProcessFailedError:
        self._thread.join(60)
        assert self.failure is not None, "still watching"
        return self.failure

    def next_notice(self) -> str:
        return self.notices.get(timeout=60)

    def _watch(self) -> None:
        try:
            self.supervisor.watch(self.notices.put)
        except ProcessFailedError as failure:
            self.failure = failure


@pytest.fixture
def restarted(program: ProgramMaker) -> Callable[..., ProcessSpec]:
    """Like `program`, for a process that may be restarted."""
    return lambda *arguments, **options: replace(program(*arguments, **options), restarts=True)


def test_exited_process_restarts_and_is_reported(
    tmp_path: Path, restarted: Callable[..., ProcessSpec], program: ProgramMaker
) -> None:
    with WatchedSupervisor(tmp_path, restarted("restarting", SLEEPS), program("other", SLEEPS)) as watch:
        restarting = watch.supervisor.processes["restarting"]
        first = restarting.pid
        restarting.kill()
        log = tmp_path / "logs" / "restarting.log"
        assert watch.next_notice() == (
            f"restarting exited unexpectedly (SIGKILL). It restarts in 0.01 s; its log is {log}."
        )
        assert watch.next_notice().startswith("restarting is ready again after ")
        assert restarting.is_running
        assert restarting.pid != first
        assert watch.supervisor.restarts == {"restarting": 1, "other": 0}
        assert watch.failure is None


def test_backoff_doubles_up_to_its_limit(tmp_path: Path, restarted: Callable[..., ProcessSpec]) -> None:
    with WatchedSupervisor(tmp_path, restarted("restarting", SLEEPS)) as watch:
        backoffs = []
        for _ in range(4):
            watch.supervisor.processes["restarting"].kill()
            backoffs.append(watch.next_notice().partition(" restarts in ")[2].split(" s;")[0])
            assert "is ready again" in watch.next_notice()
    assert backoffs == ["0.01", "0.02", "0.04", "0.04"]


def test_backoff_is_reset_after_stable_running(tmp_path: Path, restarted: Callable[..., ProcessSpec]) -> None:
    always_reset = replace(FAST, reset_after_seconds=0)
    with WatchedSupervisor(tmp_path, restarted("restarting", SLEEPS), policy=always_reset) as watch:
        for _ in range(3):
            watch.supervisor.processes["restarting"].kill()
            assert "restarts in 0.01 s" in watch.next_notice()
            assert "is ready again" in watch.next_notice()


def test_restarts_stop_after_repeated_failed_starts(
    tmp_path: Path, restarted: Callable[..., ProcessSpec]
) -> None:
    with WatchedSupervisor(
        tmp_path, restarted("broken", f"{FIRST_START_SUCCEEDS}\n    sys.exit('no such model')")
    ) as watch:
        (tmp_path / "broken.ready").unlink()
        watch.supervisor.processes["broken"].kill()
        failure = watch.raised_failure()
        assert str(failure).startswith("broken exited unexpectedly (exit code 1). The last lines of ")
        assert failure.log_tail == ("no such model",) * FAST.max_failed_starts
        assert watch.supervisor.restarts == {"broken": FAST.max_failed_starts}


def test_process_that_is_not_ready_in_time_restarts_until_it_is(
    tmp_path: Path, restarted: Callable[..., ProcessSpec]
) -> None:
    """The Firestore proxy is not ready while the disk is full, for example."""
    needs_space = f"""{FIRST_START_SUCCEEDS}
    if pathlib.Path(__file__).with_suffix(".space").exists():
        ready()
    time.sleep(600)"""
    one_exit = replace(FAST, max_failed_starts=1)
    with WatchedSupervisor(tmp_path, restarted("unready", needs_space), policy=one_exit) as watch:
        process = watch.supervisor.processes["unready"]
        process.spec = replace(process.spec, ready_within_seconds=0.5)
        (tmp_path / "unready.ready").unlink()
        process.kill()
        assert "exited unexpectedly" in watch.next_notice()
        for _ in range(3):
            assert "was not ready after 0.5 s: ready() was not called" in watch.next_notice()
        (tmp_path / "unready.space").touch()
        process.spec = replace(process.spec, ready_within_seconds=60)
        while "is ready again" not in (notice := watch.next_notice()):
            assert "was not ready after 0.5 s" in notice  # the last start before there was space
        assert watch.failure is None


@pytest.mark.parametrize(
    ("owner", "function", "error"),
    [
        (subprocess, "Popen", BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")),
        (os, "pipe", OSError(errno.EMFILE, "Too many open files")),
        (threading.Thread, "start", RuntimeError("can't start new thread")),
    ],
    ids=["process", "descriptor", "thread"],
)
def test_process_that_cannot_be_started_restarts_until_it_can(
    tmp_path: Path,
    restarted: Callable[..., ProcessSpec],
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    function: str,
    error: Exception,
) -> None:
    """Memory is short, for example, for which the system has killed the process."""
    start, errors = getattr(owner, function), [error] * (FAST.max_failed_starts + 1)

    def fail_first(*arguments: object, **options: object) -> object:
        if errors:
            raise errors.pop()
        return start(*arguments, **options)

    with WatchedSupervisor(tmp_path, restarted("restarting", SLEEPS)) as watch:
        restarting = watch.supervisor.processes["restarting"]
        monkeypatch.setattr(owner, function, fail_first)
        os.kill(restarting.pid, signal.SIGKILL)
        assert "exited unexpectedly (SIGKILL)" in watch.next_notice()
        for _ in range(FAST.max_failed_starts + 1):
            assert f"restarting could not be started ({error}). It restarts in " in watch.next_notice()
        assert "is ready again" in watch.next_notice()
        assert watch.supervisor.restarts == {"restarting": 1}


def test_restart_ends_orphaned_children_first(tmp_path: Path, restarted: Callable[..., ProcessSpec]) -> None:
    child = "print(subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)']).pid, flush=True)"
    with WatchedSupervisor(tmp_path, restarted("parent", f"{child}; {SLEEPS}")) as watch:
        parent = watch.supervisor.processes["parent"]
        orphan = int(parent.log_path.read_text())
        os.kill(parent.pid, signal.SIGKILL)
        watch.next_notice()
        assert ended_within(orphan, 30)


def test_watch_ends_when_a_process_must_not_restart(
    tmp_path: Path, restarted: Callable[..., ProcessSpec], program: ProgramMaker
) -> None:
    with WatchedSupervisor(tmp_path, restarted("restarting", SLEEPS), program("emulator", SLEEPS)) as watch:
        watch.supervisor.processes["emulator"].kill()
        assert "emulator exited unexpectedly (SIGKILL)" in str(watch.raised_failure())
        assert watch.notices.empty()
