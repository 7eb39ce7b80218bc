"""A worker process with its own links to each service, so that a test can disconnect it."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from local_stack import application
from local_stack.loopback import PortReservations
from local_stack.processes.child_process import ChildProcess
from local_stack.processes.orphans import STACK_ID_VARIABLE
from tests.chaos.network import Link, Network
from tests.engine_gate import WORKER_MODULE, engine_of


class Links:
    def __init__(self, network: Network, port_of: Callable[[str], int]) -> None:
        self.firestore = network.link(partial(port_of, "firestore-proxy"))
        self.pubsub = network.link(partial(port_of, "pubsub-proxy"))
        self.storage = network.link(partial(port_of, "bucket-server"))

    @property
    def all(self) -> tuple[Link, ...]:
        return (self.firestore, self.pubsub, self.storage)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "FIRESTORE_EMULATOR_HOST": self.firestore.host,
            "PUBSUB_EMULATOR_HOST": self.pubsub.host,
            "STORAGE_EMULATOR_HOST": f"http://{self.storage.host}",
        }

    def restore(self) -> None:
        for link in self.all:
            link.restore()

    def reset(self) -> None:
        for link in self.all:
            link.reset()

    def cut(self) -> None:
        """Close the open connections and discard held data."""
        for link in self.all:
            link.cut()


class ChaosWorker:
    """A worker under test. `process` is the parent process, whose child is the engine."""

    def __init__(
        self, number: int, links: Links, *, environment: Mapping[str, str], logs: Path, stack_id: str
    ) -> None:
        self.links = links
        self._ports = PortReservations()
        health_port = self._ports.reserve()
        self.health_url = f"http://127.0.0.1:{health_port}"
        spec = application.worker(
            number=number, health_port=health_port, environment=environment, module=WORKER_MODULE
        )
        self.process = ChildProcess(
            replace(spec, name=f"chaos-worker-{number}"),
            logs_directory=logs,
            stack_environment={
                STACK_ID_VARIABLE: stack_id,
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
            },
        )

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def engine(self) -> psutil.Process:
        """The engine process. Raises LookupError while there is none."""
        return engine_of(self.process)

    @property
    def active_tasks(self) -> int:
        return int(httpx.get(f"{self.health_url}/readyz", timeout=60).json()["active_tasks"])

    def kill(self) -> None:
        """Send SIGKILL to the whole process tree, which loses unsent data."""
        self.process.kill()
        self.links.reset()

    def kill_parent(self) -> None:
        """Send SIGKILL to the parent only: the engine has to detect it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait_stopped(60)
        self.links.cut()

    def stop(self, *, within_seconds: float = 40.0) -> int | None:
        self.process.ask_to_stop()
        assert self.process.wait_stopped(within_seconds), (
            f"{self.name} does not stop:\n{self._log_with_stack_traces()}"
        )
        return self.process.exit_code

    def restart(self) -> None:
        """Start it again under the same name, as Kubernetes does."""
        self.process.restart()
        self.process.wait_until_ready()

    def _log_with_stack_traces(self) -> str:
        """Return the end of its log, with the stack traces that faulthandler writes on SIGABRT."""
        self.process.send_signal(signal.SIGABRT)
        self.process.wait_stopped(60)
        return self.process.log_path.read_text("utf-8", "replace")[-20_000:]

    def log_lines(self, event: str) -> Iterator[dict[str, Any]]:
        for line in self.process.log_path.read_text("utf-8", "replace").splitlines():
            if f'"{event}"' in line:
                try:
                    record: dict[str, Any] = json.loads(line)
                except ValueError:  # truncated by a SIGKILL
                    continue
                if event in (record.get("event"), record.get("message")):
                    yield record
