"""ChaosWorker: one worker process with links of its own to each service, so that it alone can be cut off."""

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
from local_stack.free_ports import free_port
from local_stack.leftovers import STACK_ID_VARIABLE
from local_stack.processes import ChildProcess
from tests.chaos.network import Link, Network


class Links:
    """The three links of one program."""

    def __init__(self, network: Network, port_of: Callable[[str], int]) -> None:
        self.firestore = network.link(partial(port_of, "firestore-proxy"))
        self.pubsub = network.link(partial(port_of, "pubsub-proxy"))
        self.storage = network.link(partial(port_of, "bucket-server"))

    @property
    def all(self) -> tuple[Link, ...]:
        """All of them."""
        return (self.firestore, self.pubsub, self.storage)

    @property
    def environment(self) -> dict[str, str]:
        """What leads a program through them."""
        return {
            "FIRESTORE_EMULATOR_HOST": self.firestore.host,
            "PUBSUB_EMULATOR_HOST": self.pubsub.host,
            "STORAGE_EMULATOR_HOST": f"http://{self.storage.host}",
        }

    def pass_on(self) -> None:
        """All is well again."""
        for link in self.all:
            link.pass_on()

    def cut(self) -> None:
        """Break what is open, and with it whatever was held."""
        for link in self.all:
            link.cut()


class ChaosWorker:
    """Its `process` is the parent; the engine is that one's child."""

    def __init__(
        self, number: int, links: Links, *, environment: Mapping[str, str], logs: Path, stack_id: str
    ) -> None:
        self.links = links
        health_port = free_port()
        self.health_url = f"http://127.0.0.1:{health_port}"
        spec = application.worker(number=number, health_port=health_port, environment=environment)
        spec = replace(
            spec,
            name=f"chaos-worker-{number}",
            argv=(spec.argv[0], "-m", "tests.chaos.worker_program"),
        )
        self.process = ChildProcess(
            spec,
            logs_directory=logs,
            stack_environment={
                STACK_ID_VARIABLE: stack_id,
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
            },
        )

    @property
    def name(self) -> str:
        """Of its process and its log."""
        return self.process.name

    @property
    def engine(self) -> psutil.Process:
        """The engine process. Raises LookupError while there is none."""
        for child in psutil.Process(self.process.pid).children():
            if any("spawn_main" in argument for argument in child.cmdline()):
                return child
        raise LookupError(f"{self.name} has no engine")

    @property
    def active_tasks(self) -> int:
        """How many tasks it says that it holds."""
        return int(httpx.get(f"{self.health_url}/readyz", timeout=60).json()["active_tasks"])

    def kill(self) -> None:
        """SIGKILL to the whole process tree; what it had said but not sent is lost with it."""
        self.process.kill()
        self.links.cut()
        self.links.pass_on()

    def kill_parent(self) -> None:
        """SIGKILL to the parent alone: the engine has to find out by itself."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait_stopped(60)
        self.links.cut()

    def stop(self, *, within_seconds: float = 40.0) -> int | None:
        """SIGTERM, and its exit code."""
        self.process.ask_to_stop()
        assert self.process.wait_stopped(within_seconds), f"{self.name} does not stop:\n{self._last_words()}"
        return self.process.exit_code

    def restart(self) -> None:
        """Start it again: as Kubernetes does, under the same name."""
        self.process.restart()
        self.process.wait_until_ready()

    def _last_words(self) -> str:
        """The end of its log, and with it what each of its threads was at: faulthandler tells on SIGABRT."""
        self.process.send_signal(signal.SIGABRT)
        self.process.wait_stopped(60)
        return self.process.log_path.read_text("utf-8", "replace")[-20_000:]

    def log_lines(self, event: str) -> Iterator[dict[str, Any]]:
        """What it logged under this event's name, oldest first."""
        for line in self.process.log_path.read_text("utf-8", "replace").splitlines():
            if f'"{event}"' in line:
                try:
                    record: dict[str, Any] = json.loads(line)
                except ValueError:  # cut short by a SIGKILL
                    continue
                if event in (record.get("event"), record.get("message")):
                    yield record
