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
        ready_file, script = tmp_path / f"{name}.ready", tmp_path / f"{name}.py"
        imports = "import pathlib, signal, subprocess, sys, time"
        ready = f"def ready(): pathlib.Path({str(ready_file)!r}).touch()"
        script.write_text("\n".join((imports, ready, textwrap.dedent(source))))
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-S", str(script)),
            why_not_ready=lambda _pid: None if ready_file.exists() else "ready() was not called",
            ready_within_seconds=ready_within,
            stop_within_seconds=stop_within,
        )

    return make
