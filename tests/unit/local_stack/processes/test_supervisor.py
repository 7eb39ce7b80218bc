"""Starting, watching and stopping of real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.errors import ProcessFailedError, StartInterruptedError
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.orphans import STACK_ID_VARIABLE, end_orphans, orphans_of
from local_stack.processes.process_end import ended_within
from local_stack.processes.supervisor import Supervisor
from tests.unit.local_stack.conftest import ProgramMaker

ROOT = Path(__file__).parents[4]
SLEEPS = "ready(); time.sleep(600)"
IGNORES_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"


@pytest.fixture
def stack_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def supervisor(tmp_path: Path, stack_id: str) -> Iterator[Supervisor]:
    with Supervisor(logs_directory=tmp_path / "logs", stack_id=stack_id) as running:
        yield running


def start(supervisor: Supervisor, *specs: ProcessSpec) -> None:
    supervisor.start(*specs)
    supervisor.wait_until_ready()


def no_notice(line: str) -> None:
    raise AssertionError(line)


def test_processes_end_with_the_context(tmp_path: Path, stack_id: str, program: ProgramMaker) -> None:
    with Supervisor(logs_directory=tmp_path, stack_id=stack_id) as supervisor:
        start(supervisor, program("one", SLEEPS), program("two", SLEEPS))
        pids = [process.pid for process in supervisor.processes.values()]
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert all(ended_within(pid, 30) for pid in pids)


def test_failed_start_raises_the_name_and_the_log_tail(supervisor: Supervisor, program: ProgramMaker) -> None:
    supervisor.start(
        program("healthy", SLEEPS),
        program("broken", "for n in range(30): print('line', n)\nsys.exit(7)"),
    )
    with pytest.raises(ProcessFailedError) as raised:
        supervisor.wait_until_ready()
    assert raised.value.name == "broken"
    assert raised.value.log_tail[-1] == "line 29"
    assert len(raised.value.log_tail) == 20
    assert "broken exited unexpectedly (exit code 7)" in str(raised.value)
    assert "line 29" in str(raised.value)


def test_missing_program_raises_its_name(supervisor: Supervisor, program: ProgramMaker) -> None:
    spec = program("absent", SLEEPS)
    supervisor.start(type(spec)(name="absent", argv=("/no/such/program",), why_not_ready=spec.why_not_ready))
    with pytest.raises(ProcessFailedError, match="cannot run /no/such/program: No such file"):
        supervisor.wait_until_ready()


def test_start_timeout_raises_the_name_and_the_reason(supervisor: Supervisor, program: ProgramMaker) -> None:
    supervisor.start(program("slow", "time.sleep(600)", ready_within=0.2))
    with pytest.raises(
        ProcessFailedError, match=r"slow was not ready after 0\.2 s: ready\(\) was not called"
    ):
        supervisor.wait_until_ready()


def test_supervisor_stops_waiting_when_interrupted(supervisor: Supervisor, program: ProgramMaker) -> None:
    supervisor.start(program("slow", "time.sleep(600)"))
    threading.Timer(0.1, supervisor.interrupted.set).start()
    with pytest.raises(StartInterruptedError):
        supervisor.wait_until_ready()
    supervisor.watch(no_notice)


def test_stop_kills_a_process_after_its_timeout(supervisor: Supervisor, program: ProgramMaker) -> None:
    start(
        supervisor, program("unresponsive", IGNORES_SIGTERM, stop_within=0.3), program("responsive", SLEEPS)
    )
    pid = supervisor.processes["unresponsive"].pid
    assert supervisor.stop(["unresponsive", "responsive"]) == ("unresponsive",)
    assert ended_within(pid, 30)
    assert not supervisor.processes


def test_hurry_ignores_the_stop_timeout(supervisor: Supervisor, program: ProgramMaker) -> None:
    start(supervisor, program("unresponsive", IGNORES_SIGTERM, stop_within=500))
    supervisor.hurry.set()
    assert supervisor.stop(["unresponsive"]) == ("unresponsive",)


def test_stop_works_for_a_suspended_process(supervisor: Supervisor, program: ProgramMaker) -> None:
    start(supervisor, program("paused", SLEEPS))
    process = supervisor.processes["paused"]
    process.suspend()
    assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    assert supervisor.stop(["paused"]) == ()


def test_restarted_process_appends_to_its_log(
    supervisor: Supervisor, program: ProgramMaker, tmp_path: Path
) -> None:
    supervisor.start(program("restarting", "print('alive', flush=True); " + SLEEPS))
    process = supervisor.processes["restarting"]
    process.wait_until_ready()
    first = process.pid
    process.kill()
    (tmp_path / "restarting.ready").unlink()
    process.restart()
    process.wait_until_ready()
    assert process.pid != first
    assert process.is_running
    supervisor.stop(["restarting"])
    assert process.log_path.read_text().count("alive") == 2


def test_log_of_the_previous_start_is_kept(tmp_path: Path, program: ProgramMaker, stack_id: str) -> None:
    for word in ("first", "second"):
        with Supervisor(logs_directory=tmp_path, stack_id=stack_id) as supervisor:
            start(supervisor, program("writer", f"print({word!r}, flush=True); " + SLEEPS))
        (tmp_path / "writer.ready").unlink()
    assert (tmp_path / "writer.log").read_text() == "second\n"
    assert (tmp_path / "writer.log.1").read_text() == "first\n"


def test_stop_ends_orphaned_children(tmp_path: Path, stack_id: str, program: ProgramMaker) -> None:
    daemon = "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    with Supervisor(logs_directory=tmp_path, stack_id=stack_id) as supervisor:
        start(supervisor, program("parent", f"{daemon}; {SLEEPS}"))
        assert len(orphans_of(stack_id)) == 2
    assert not orphans_of(stack_id)


def test_orphans_are_found_by_their_marker(stack_id: str) -> None:
    sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
    marked = subprocess.Popen(sleeper, env={**os.environ, STACK_ID_VARIABLE: stack_id})
    other = subprocess.Popen(sleeper, env={**os.environ, STACK_ID_VARIABLE: "another"})
    try:
        assert end_orphans(stack_id) == 1
        assert ended_within(marked.pid, 30)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


SUPERVISING_PROGRAM = """
    import pathlib, signal, sys
    from local_stack.processes.child_process import ProcessSpec
    from local_stack.processes.supervisor import Supervisor

    sleeper = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
    with Supervisor(logs_directory=pathlib.Path(sys.argv[1]), stack_id=sys.argv[2]) as supervisor:
        signal.signal(signal.SIGTERM, lambda *_: supervisor.interrupted.set())
        supervisor.start(ProcessSpec(name="one", argv=sleeper), ProcessSpec(name="two", argv=sleeper))
        supervisor.wait_until_ready()
        print(*(process.pid for process in supervisor.processes.values()), flush=True)
        supervisor.watch(print)
"""


@pytest.mark.parametrize(
    "ending",
    [
        signal.SIGTERM,
        pytest.param(
            signal.SIGKILL,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG"),
        ),
    ],
)
def test_processes_end_when_their_supervisor_is_killed(
    tmp_path: Path, stack_id: str, ending: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISING_PROGRAM), str(tmp_path), stack_id],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as supervising:
        assert supervising.stdout is not None
        pids = [int(pid) for pid in supervising.stdout.readline().split()]
        assert len(pids) == 2
        supervising.send_signal(ending)
        supervising.wait(60)
    assert all(ended_within(pid, 30) for pid in pids)


def test_ctrl_c_reaches_only_the_supervisor(supervisor: Supervisor, program: ProgramMaker) -> None:
    supervisor.start(program("one", SLEEPS))
    assert os.getsid(supervisor.processes["one"].pid) != os.getsid(0)


def test_suspend_returns_when_stopped_and_keeps_the_exit_code(
    supervisor: Supervisor, program: ProgramMaker
) -> None:
    start(supervisor, program("sleeper", SLEEPS))
    process = supervisor.processes["sleeper"]
    for _ in range(5):
        process.suspend()
        assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
        process.resume()
    process.kill()
    assert process.exit_code == -signal.SIGKILL


def test_ended_within_works_for_foreign_processes() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        assert not ended_within(stranger.pid, 0)
        stranger.communicate(b"\n")
        pid = stranger.pid
        assert ended_within(pid, 30)
