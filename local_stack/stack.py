"""The whole stack as one object: the composition of all processes, and the order in which they start and end.

with LocalStack(StackSettings(data_directory=path)) as stack:            # everything
with LocalStack.emulators_only(path) as stack:                           # Pub/Sub, Firestore, the bucket
    stack.environment                                                    # what a client program needs
    stack.process("worker-0").kill(); stack.restart("worker-0")
"""

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from local_stack import application
from local_stack.bucket_server.process import bucket_server
from local_stack.data_directory import DataDirectory, StackState
from local_stack.emulators import firestore_emulator, pubsub_emulator
from local_stack.errors import PortTakenError
from local_stack.firestore_exports import FirestoreExports, PeriodicExport
from local_stack.free_ports import LOOPBACK, free_port, is_free
from local_stack.leftovers import end_leftovers
from local_stack.processes import ChildProcess
from local_stack.provisioning import ResourceNames, provision_bucket, provision_pubsub
from local_stack.pubsub_proxy.process import pubsub_proxy
from local_stack.stack_settings import StackSettings, names_as_environment
from local_stack.supervisor import Supervisor

_INFRASTRUCTURE = ("pubsub-emulator", "firestore-emulator", "pubsub-proxy", "bucket-server")


def _print_nothing(_line: str) -> None:
    return


class LocalStack:
    """A context manager: entering returns when all is ready, leaving ends all and saves what is to be kept."""

    def __init__(self, settings: StackSettings, say: Callable[[str], None] = _print_nothing) -> None:
        self._settings = settings
        self._say = say
        self._stack_id = secrets.token_hex(8)
        self._token = secrets.token_urlsafe(32)
        self._data = DataDirectory(settings.data_directory)
        self._supervisor = Supervisor(logs_directory=self._data.logs, stack_id=self._stack_id)
        self._exports = FirestoreExports(self._data.firestore)
        self._periodic_export: PeriodicExport | None = None
        self._ports: dict[str, int] = {}
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.hurry = self._supervisor.hurry
        """Set it to cut the processes' deadlines short while the stack ends."""
        self.interrupted = self._supervisor.interrupted
        """Set it, also from a signal handler, to end a start or `watch`."""

    @classmethod
    def emulators_only(
        cls, data_directory: Path, *, rules: Path | None = None, names: ResourceNames | None = None
    ) -> Self:
        """Without the project's own programs: for tests of what talks to Pub/Sub, Firestore and the bucket."""
        return cls(
            StackSettings(
                data_directory=data_directory,
                serves_api=False,
                workers=0,
                rules=rules,
                names=names or ResourceNames(),
            )
        )

    @property
    def ports(self) -> Mapping[str, int]:
        """By name: the processes', and `api` for the page."""
        return self._ports

    @property
    def page_url(self) -> str | None:
        return f"http://localhost:{self._ports['api']}/" if self._settings.serves_api else None

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to talk to this stack, with the settings that API and worker read."""
        return {
            "PUBSUB_EMULATOR_HOST": self._host("pubsub-proxy"),
            "FIRESTORE_EMULATOR_HOST": self._host("firestore-emulator"),
            "STORAGE_EMULATOR_HOST": f"http://{self._host('bucket-server')}",
            **names_as_environment(self._settings.names),
            "DARKROOM_INTERNAL_TOKEN": self._token,
            **self._settings.extra_environment,
        }

    def process(self, name: str) -> ChildProcess:
        """Raises KeyError, and the names there are, for an unknown one."""
        if name not in self._supervisor.processes:
            raise KeyError(f"{name}: there are {', '.join(self._supervisor.processes)}")
        return self._supervisor.processes[name]

    def restart(self, name: str) -> None:
        """Start an ended process again, on its port, and wait for it. Emulators come back empty."""
        process = self.process(name)
        process.restart()
        process.wait_until_ready()
        if name == "pubsub-emulator":
            provision_pubsub(self._host("pubsub-emulator"), self._settings.names)
        self._write_state("ready")

    def add_worker(self) -> str:
        """Start one more worker and wait for it. Returns its name."""
        name = self._start_worker()
        self._supervisor.wait_until_ready(name)
        self._write_state("ready")
        return name

    def watch(self) -> None:
        """Block until interrupted. Raises ProcessFailedError when any process ends by itself."""
        self._supervisor.watch()

    def __enter__(self) -> Self:
        self._data.acquire()
        try:
            self._check_port()
            self._end_what_a_crash_left()
            self._choose_ports()
            self._write_state("starting")
            self._start_infrastructure()
            self._start_application()
            self._write_state("ready")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _check_port(self) -> None:
        port = self._settings.port
        if port is not None and self._settings.serves_api and not is_free(port):
            raise PortTakenError(
                f"Port {port} is in use by another program. Choose another one for the page with PORT=…"
            )

    def _end_what_a_crash_left(self) -> None:
        """Processes of a stack whose supervisor was killed, where the system did not end them with it."""
        state = self._data.state()
        if state is not None and (count := end_leftovers(state.stack_id)):
            self._say(f"Ended {count} processes that a crashed stack had left behind.")

    def _choose_ports(self) -> None:
        for name in (*_INFRASTRUCTURE, "firestore-websocket"):
            self._ports[name] = self._unused_port()
        if self._settings.serves_api:
            self._ports["api"] = self._settings.port or self._unused_port()

    def _unused_port(self) -> int:
        """Free, and not promised to another process of this stack."""
        while (port := free_port()) in self._ports.values():
            continue
        return port

    def _start_infrastructure(self) -> None:
        settings, ports = self._settings, self._ports
        project_id = settings.names.project_id
        self._supervisor.start(
            pubsub_emulator(
                port=ports["pubsub-emulator"], project_id=project_id, java=settings.java, say=self._say
            ),
            firestore_emulator(
                port=ports["firestore-emulator"],
                websocket_port=ports["firestore-websocket"],
                project_id=project_id,
                rules=settings.rules,
                exported=self._exports.latest(),
                java=settings.java,
                say=self._say,
            ),
            bucket_server(port=ports["bucket-server"], directory=self._data.bucket),
            pubsub_proxy(port=ports["pubsub-proxy"], emulator_port=ports["pubsub-emulator"]),
        )
        self._supervisor.wait_until_ready(*_INFRASTRUCTURE)
        provision_pubsub(self._host("pubsub-emulator"), settings.names)
        provision_bucket(f"http://{self._host('bucket-server')}", settings.names)
        self._periodic_export = PeriodicExport(
            self._exports,
            host=self._host("firestore-emulator"),
            project_id=project_id,
            interval_seconds=settings.export_interval_seconds,
        )
        self._periodic_export.start()

    def _start_application(self) -> None:
        """API and workers side by side: each needs seconds to load its libraries."""
        awaited = [self._start_worker() for _ in range(self._settings.workers)]
        if self._settings.serves_api:
            self._supervisor.start(application.api(port=self._ports["api"], environment=self.environment))
            awaited.append("api")
        self._supervisor.wait_until_ready(*awaited) if awaited else None
        if self._settings.serves_api:
            self._supervisor.start(
                application.rescue_tick(
                    api_port=self._ports["api"],
                    interval_seconds=self._settings.rescue_interval_seconds,
                    environment=self.environment,
                )
            )

    def _start_worker(self) -> str:
        number = sum(name.startswith("worker-") for name in self._supervisor.processes)
        health_port = self._unused_port()
        self._ports[f"worker-{number}"] = health_port
        self._supervisor.start(
            application.worker(number=number, health_port=health_port, environment=self.environment)
        )
        return f"worker-{number}"

    def _stop(self) -> None:
        """End all, in the order in which each still finds what it needs to end well."""
        self._write_state("stopping")
        supervisor = self._supervisor
        with supervisor:
            # Workers hand their tasks back, which needs everything else.
            supervisor.stop([name for name in supervisor.processes if name.startswith("worker-")])
            supervisor.stop(["rescue-tick"])
            supervisor.stop(["api"])
            supervisor.stop(["pubsub-proxy"])
            self._save_documents()
            supervisor.stop(["pubsub-emulator", "firestore-emulator", "bucket-server"])
        self._data.clear_state()
        self._data.release()

    def _save_documents(self) -> None:
        if self._periodic_export is None:  # never got so far: the last export is the better one
            return
        self._periodic_export.stop()
        try:
            self._exports.export(self._host("firestore-emulator"), self._settings.names.project_id)
        except OSError as error:
            self._say(f"Firestore's documents could not be saved ({error}); the last save is kept.")

    def _write_state(self, phase: str) -> None:
        self._data.write_state(
            StackState(
                stack_id=self._stack_id,
                phase=phase,
                supervisor_pid=os.getpid(),
                started_at=self._started_at,
                page_url=self.page_url if self._ports else None,
                ports=self._ports,
                pids={name: process.pid for name, process in self._supervisor.processes.items()},
            )
        )

    def _host(self, name: str) -> str:
        return f"{LOOPBACK}:{self._ports[name]}"
