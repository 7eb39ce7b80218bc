"""The `darkroom` command in its own process, with and without a terminal, against the whole system."""

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.domain.task import TaskStatus
from darkroom.cli.exit_codes import ExitCode
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
DARKROOM = Path(sys.executable).with_name("darkroom")
PROMPT = "a large green triangle on a white background"
LONG = ("--steps", "100")
"""More steps than a held engine takes."""
ITERM2_IMAGE = "\x1b]1337;File=inline=1;"
KITTY_IMAGE = "\x1b_Ga=T,f=100,"


class Terminal:
    """A user's command line."""

    def __init__(self, system: System, folder: Path) -> None:
        assert system.stack.page_url is not None
        self._folder = folder
        self._environment = {**os.environ, "DARKROOM_URL": system.stack.page_url, "COLUMNS": "100"}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            [DARKROOM, *words], cwd=self._folder, env={**self._environment, **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        """Return the JSON output of a command, which must succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that a test will interrupt."""
        return subprocess.Popen(
            [DARKROOM, *words], cwd=self._folder, env=self._environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def output_of(
        self,
        *words: str,
        environment: Mapping[str, str],
        until: str | None = None,
        reached: Callable[[], object] = lambda: None,
    ) -> str:
        """Return everything that a command writes to a terminal.

        Calls `reached` once the output matches the pattern `until`.
        """
        outside, inside = pty.openpty()
        process = subprocess.Popen(
            [DARKROOM, *words], cwd=self._folder, env={**self._environment, "LINES": "40", **environment},
            stdin=inside, stdout=inside, stderr=inside,
        )  # fmt: skip
        os.close(inside)
        try:
            output = _all_of(outside, until, reached)
            assert process.wait(120) == 0, output
        finally:
            process.kill()
            os.close(outside)
        return output


def _all_of(terminal: int, until: str | None, reached: Callable[[], object]) -> str:
    output = b""
    while select.select([terminal], [], [], 120)[0]:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # Linux reports this when the last process has closed the terminal
            break
        output += chunk
        if until is not None and re.search(until.encode(), output):
            reached()
            until = None
    assert until is None, f"the output lacks {until!r}: {output!r}"
    return output.decode()


@pytest.fixture
def terminal(system: System, tmp_path: Path) -> Iterator[Terminal]:
    # Background jobs of a shell, and their children, ignore Ctrl-C unless a parent installs a
    # handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Terminal(system, tmp_path)
    signal.signal(signal.SIGINT, before)


def test_generate_saves_the_images(terminal: Terminal, tmp_path: Path) -> None:
    done = terminal.run("generate", PROMPT, "--steps", "4", "--num-images", "2", "--to", "pictures")
    assert done.returncode == 0, done.stderr
    files = [tmp_path / line for line in done.stdout.splitlines()]
    assert [file.parent.name for file in files] == ["pictures"] * 2
    (task,) = terminal.json("list", "--limit", "1")
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert digests == [image["sha256"] for image in task["images"]]
    assert done.stderr.endswith(f"{task['id']}: completed\n")


def test_submit_watch_and_download_return_the_same_task(terminal: Terminal, tmp_path: Path) -> None:
    task_id = terminal.run("submit", PROMPT, "--steps", "8", "--label", "team=a").stdout.strip()
    watched = terminal.run("watch", task_id, "--json")
    snapshots = [json.loads(line) for line in watched.stdout.splitlines()]
    assert (watched.returncode, {snapshot["id"] for snapshot in snapshots}) == (0, {task_id})
    assert snapshots[-1]["status"] == "completed"
    assert snapshots[-1] == terminal.json("show", task_id)
    (file,) = terminal.json("download", task_id, "--to", str(tmp_path))["files"]
    assert Path(file).read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_lets_the_task_continue_or_cancels_it(
    terminal: Terminal, system: System, tmp_path: Path
) -> None:
    with system.held_engine():
        process = terminal.start("generate", PROMPT, *LONG)
        assert process.stderr is not None
        task_id = process.stderr.readline().partition(":")[0]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (ExitCode.INTERRUPTED, "")
        assert f"Task {task_id} continues on the server.\n  Watch it: darkroom watch {task_id}\n" in err
        assert "Traceback" not in err
        assert terminal.json("show", task_id)["status"] in ("queued", "processing")
        assert list(tmp_path.iterdir()) == []

        again = terminal.start("watch", task_id, "--cancel-on-interrupt")
        assert again.stderr is not None
        again.stderr.readline()
        again.send_signal(signal.SIGINT)
        _, err = again.communicate(timeout=120)
        assert again.returncode == ExitCode.INTERRUPTED
        assert re.search(rf"Task {task_id} (was|is being) cancelled\.\n", err)
        assert system.client.wait_for_end(task_id).status is TaskStatus.CANCELLED
    assert terminal.run("watch", task_id).returncode == ExitCode.TASK_CANCELLED


def test_task_is_cancelled_retried_and_deleted(terminal: Terminal, system: System) -> None:
    with system.held_engine():
        task_id = terminal.run("submit", PROMPT, *LONG).stdout.strip()
        assert [task["id"] for task in terminal.json("cancel", task_id)] == [task_id]
        assert terminal.run("watch", task_id).returncode == ExitCode.TASK_CANCELLED
        assert [task["status"] for task in terminal.json("retry", task_id)] == ["queued"]
        late = terminal.run("watch", task_id, "--timeout", "0")
        assert (late.returncode, "Traceback" in late.stderr) == (ExitCode.TIMED_OUT, False)
        assert terminal.json("delete", task_id, "--yes") == {"deleted": [task_id]}
    assert terminal.run("show", task_id).returncode == ExitCode.NOT_FOUND


def test_usage_and_queue_show_finished_tasks(terminal: Terminal) -> None:
    before = terminal.json("usage")["total"]["tasks"]
    task_id = terminal.run("submit", PROMPT, "--steps", "2").stdout.strip()
    assert terminal.run("watch", task_id).returncode == 0
    assert terminal.json("usage")["total"]["tasks"] > before
    assert {"demo"} <= {line["model"] for line in terminal.json("queue")["models"]}


def test_generate_shows_a_bar_in_a_terminal(terminal: Terminal, system: System) -> None:
    xterm = {"TERM": "xterm-256color"}
    with system.held_engine(steps=20):
        output = terminal.output_of(
            *("generate", PROMPT, "--steps", "40"),
            environment=xterm,
            until=r"generating \d+/40",
            reached=system.gate.release,
        )
    assert "completed" in output
    assert ITERM2_IMAGE not in output
    assert KITTY_IMAGE not in output


def test_generate_shows_previews_in_iterm2(terminal: Terminal, system: System) -> None:
    iterm2 = {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}
    with system.held_engine(steps=20):
        output = terminal.output_of(
            *("generate", PROMPT, "--steps", "40"),
            environment=iterm2,
            until=re.escape(ITERM2_IMAGE),
            reached=system.gate.release,
        )
    assert output.count(ITERM2_IMAGE) > 1, "no image after the preview"
    without_preview = terminal.output_of(
        "generate", PROMPT, "--steps", "2", "--no-preview", environment=iterm2
    )
    assert ITERM2_IMAGE not in without_preview


def test_watch_shows_the_image_of_a_finished_task(terminal: Terminal) -> None:
    task_id = terminal.run("submit", PROMPT, "--steps", "2").stdout.strip()
    assert terminal.run("watch", task_id).returncode == 0
    assert terminal.output_of("watch", task_id, environment={"TERM": "xterm-kitty"}).count(KITTY_IMAGE) == 1


def test_list_escapes_characters_outside_the_encoding(terminal: Terminal) -> None:
    assert terminal.run("submit", "a large red Δ", "--steps", "2").returncode == 0
    listed = terminal.run("list", "--limit", "1", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (listed.returncode, listed.stdout.splitlines()[1].endswith(r"a large red \u0394")) == (0, True)
