"""Pages without a browser, which follow their tasks as browsers with darkroom's page do."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

_PROGRAM = Path(__file__).with_suffix(".mjs")


class ListeningPages:
    """One Node process with a thread for each page.

    It has the lowest priority: its processor time is that of other machines.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid
        self._line()  # ready

    @classmethod
    @contextmanager
    def of(cls, address: str, count: int) -> Iterator[Self]:
        """Open pages of the service at this address, and wait until all are connected."""
        node = shutil.which("node")
        if node is None:
            raise SystemExit("this benchmark needs Node, which `make bench` installs")
        argv = ["nice", "-n", "19", node, str(_PROGRAM), address, str(count)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def take_changes(self) -> Sequence[Sequence[Mapping[str, Any]]]:
        """Return the changes that each page has received since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        changes: Sequence[Sequence[Mapping[str, Any]]] = json.loads(self._line())
        return changes

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the listening pages ended")
        return line
