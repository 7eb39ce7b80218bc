"""Small programs for the supervisor to manage."""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from local_stack.processes.child_process import ProcessSpec

ProgramMaker = Callable[..., ProcessSpec]


@pytest.fixture
def program(tmp_path: Path) -> ProgramMaker:
    """Return a maker of ProcessSpecs from Python source that calls `ready()` when it is ready."""

    def make(name: str, source: str, *, ready_within: float = 60, stop_within: float = 30) -> ProcessSpec:
        sign, script = tmp_path / f"{name}.ready", tmp_path / f"{name}.py"
        preamble = f"import pathlib, signal, subprocess, sys, time\ndef ready(): pathlib.Path({str(sign)!r}).touch()\n"
        script.write_text(preamble + textwrap.dedent(source))
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-S", str(script)),
            why_not_ready=lambda _pid: None if sign.exists() else "it has not said so",
            ready_within_seconds=ready_within,
            stop_within_seconds=stop_within,
        )

    return make
