"""The whole stack as one object, with the order in which its processes start and stop.

- `with LocalStack(StackSettings(data_directory=path)) as stack:` starts everything and waits until
  it is ready;
- `with LocalStack.emulators_only(path) as stack:` starts Pub/Sub, Firestore and the bucket;
- `stack.environment` is what a client program needs;
- `stack.restart("worker-0")` and `stack.process("worker-0").suspend()` cause failures in tests.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from local_stack.composition import FIRESTORE_BROWSER_PORT, Composition
from local_stack.data_directory import DataDirectory, StackState
from local_stack.emulators.memory_watchdog import MemoryWatchdog
from local_stack.errors import DataDirectoryUnusableError, PortTakenError, ProcessFailedError
from local_stack.firestore_proxy.exports import FirestoreExports, PeriodicExport
from local_stack.loopback import is_free
from local_stack.processes.child_process import ChildProcess
from local_stack.processes.orphans import end_orphans
from local_stack.processes.supervisor import Supervisor
from local_stack.provisioning import ResourceNames, provision_bucket, provision_pubsub
from local_stack.settings import StackSettings
from local_stack.worker_health import broken_models, broken_notices


class LocalStack:
    """A context manager: entering returns when all is ready; leaving stops and saves all."""

    def __init__(self, settings: StackSettings, notify: Callable[[str], None] = lambda _: None) -> None:
        self._settings = settings
        self._notify = notify
        self._stack_id = secrets.token_hex(8)
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._data = DataDirectory(settings.data_directory)
        self._composition = Composition(settings, self._data, notify)
        self._notices = self._composition.notices
        self._supervisor = Supervisor(logs_directory=self._data.logs, stack_id=self._stack_id)
        self._exports = FirestoreExports(self._data.firestore, self._data.firestore_journal)
        self._periodic_export: PeriodicExport | None = None
        self._memory_watchdog = MemoryWatchdog(
            self.save_documents, limit_bytes=settings.firestore_memory_limit_bytes
        )
        self.interrupted = self._supervisor.interrupted
        """An event that ends a start or `watch`. A signal handler may set it."""
        self.hurry = self._supervisor.hurry
        """An event that makes a stop kill the processes at once."""

    @classmethod
    def emulators_only(
        cls, data_directory: Path, *, rules: Path | None = None, names: ResourceNames | None = None
    ) -> Self:
        """Create a stack of Pub/Sub, Firestore and the bucket only."""
        return cls(
            StackSettings(
                data_directory=data_directory,
                serves_api=False,
                workers=0,
                rules=rules,
                names=names or ResourceNames(),
            )
        )

    def host(self, name: str) -> str:
        """Return the `host:port` of a process."""
        return self._composition.host(name)

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports by process name; `api` is the page's."""
        return self._composition.ports

    @property
    def page_url(self) -> str | None:
        return self._composition.page_url

    @property
    def environment(self) -> dict[str, str]:
        """The addresses and settings that a program needs to connect to this stack."""
        return self._composition.environment

    @property
    def processes(self) -> Mapping[str, ChildProcess]:
        """The processes by name."""
        return self._supervisor.processes

    def process(self, name: str) -> ChildProcess:
        """Return a process. For an unknown name, raises KeyError with the known names."""
        if name not in self._supervisor.processes:
            raise KeyError(f"{name}: there are {', '.join(self._supervisor.processes)}")
        return self._supervisor.processes[name]

    def restart(self, name: str) -> None:
        """Kill a process if it runs, start it again on its port, and wait until it is ready.

        Pub/Sub returns provisioned and without messages, Firestore with every confirmed document.
        """
        process = self.process(name)
        process.kill()
        process.restart()
        process.wait_until_ready()
        if name == "firestore-emulator":
            self.process("firestore-proxy").wait_until_ready()
        if name == "pubsub-emulator":
            self._provision_pubsub()
            self._start_scheduler()
        self._write_state("ready")

    def add_worker(self) -> str:
        """Start another worker and wait until it is ready. Returns its name."""
        name = self._start_worker()
        self._supervisor.wait_until_ready(name)
        self._write_state("ready")
        return name

    def save_documents(self) -> None:
        """Save Firestore's documents now, as happens each minute and at the end. Raises OSError.

        This limits how much is replayed after a restart; confirmed documents are safe without it.
        """
        host = self._composition.host("firestore-emulator")
        self._exports.export(host, self._settings.names.project_id)

    def watch(self) -> None:
        """Block until interrupted, and restart processes that exit. Raises ProcessFailedError."""
        self._supervisor.watch(self._report_restart, on_check=self._check_firestore_memory)

    def __enter__(self) -> Self:
        self._data.acquire()
        try:
            self._end_orphans()
            self._check_port()
            self._data.write_browser_port(self.ports[FIRESTORE_BROWSER_PORT])
            self._data.write_state(self._state("starting"))
            self._start_all()
            self._write_state("ready")
        except BaseException as error:
            self._stop(error)
            raise
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._stop(error)

    def _end_orphans(self) -> None:
        """Kill the processes of a stack whose supervisor was killed, if the system did not."""
        state = self._data.state()
        if state is not None and (count := end_orphans(state.stack_id)):
            self._notify(f"Ended {count} processes of a stack that had crashed.")

    def _check_port(self) -> None:
        port = self._settings.port
        if port is not None and self._settings.serves_api and not is_free(port):
            raise PortTakenError(
                f"Port {port} is in use by another program. Use another port for the page with PORT=…"
            )

    def _start_all(self) -> None:
        """Start everything at once: imports take longer than the emulators' start."""
        supervisor, composition, settings = self._supervisor, self._composition, self._settings
        self._data.delete_traces()
        for notice in self._notices:
            self._notify(notice)
        infrastructure = composition.infrastructure(self._exports.latest)
        supervisor.start(*infrastructure)
        for _ in range(composition.worker_count):
            self._start_worker()
        if settings.serves_api:
            supervisor.start(composition.api())
        supervisor.wait_until_ready(*(spec.name for spec in infrastructure))
        self._provision()
        supervisor.wait_until_ready()
        self._report_broken_models()
        self._start_scheduler()

    def _provision(self) -> None:
        """Create the resources that clients expect, and start the periodic export."""
        self._provision_pubsub()
        provision_bucket(f"http://{self._composition.host('bucket-server')}", self._settings.names)
        self._periodic_export = PeriodicExport(
            self.save_documents,
            interval_seconds=self._settings.export_interval_seconds,
            is_due=self._exports.journal_is_long,
        )
        self._periodic_export.start()

    def _provision_pubsub(self) -> None:
        provision_pubsub(
            self._composition.host("pubsub-emulator"),
            self._settings.names,
            self._composition.pools,
            endpoints=self._composition.push_endpoints,
        )
        self._queue_created_at = datetime.now(UTC)

    def _start_scheduler(self) -> None:
        """Replace a running scheduler, whose `queue_created_at` is outdated."""
        if self._settings.serves_api:
            self._supervisor.stop(["scheduler"])
            self._supervisor.start(self._composition.scheduler(queue_created_at=self._queue_created_at))

    def _start_worker(self) -> str:
        number = sum(name.startswith("worker-") for name in self._supervisor.processes)
        spec = self._composition.worker(number)
        self._supervisor.start(spec)
        return spec.name

    def _report_broken_models(self) -> None:
        """Report the models that the workers could not load at the start."""
        workers = [name for name in self._supervisor.processes if name.startswith("worker-")]
        for name in workers:
            notices = tuple(broken_notices(name, broken_models(self.ports[name])))
            self._notices += notices
            for notice in notices:
                self._notify(notice)

    def _check_firestore_memory(self) -> None:
        if (notice := self._memory_watchdog.check(self.process("firestore-emulator"))) is not None:
            self._notify(notice)

    def _report_restart(self, notice: str) -> None:
        self._write_state("ready")
        self._notify(notice)

    def _stop(self, error: BaseException | None) -> None:
        """Stop all processes, each before the ones it needs for its shutdown."""
        self._write_state("stopping")
        supervisor = self._supervisor
        with supervisor:
            for process in supervisor.processes.values():
                process.resume()  # a process that a test has suspended would block the others
            # Workers return their tasks to the queue, which needs everything else.
            supervisor.stop([name for name in supervisor.processes if name.startswith("worker-")])
            supervisor.stop(["scheduler"])
            supervisor.stop(["api"])
            supervisor.stop(["pubsub-proxy", "firestore-proxy"])
            self._save_documents_at_stop()
            supervisor.stop(["pubsub-emulator", "firestore-emulator", "bucket-server"])
        if isinstance(error, ProcessFailedError):
            self._write_state("failed", failure=str(error))
        else:
            self._data.clear_state()
        self._composition.release_ports()
        self._data.release()

    def _save_documents_at_stop(self) -> None:
        if self._periodic_export is None:  # the start failed before this: the last save is better
            return
        self._periodic_export.stop()
        try:
            self.save_documents()
        except OSError as error:
            self._notify(f"Firestore's documents could not be saved ({error}); the previous save is kept.")

    def _write_state(self, phase: str, *, failure: str | None = None) -> None:
        """Store the state for other processes. A full disk does not end a running stack."""
        try:
            self._data.write_state(self._state(phase, failure))
        except DataDirectoryUnusableError as error:
            self._notify(f"`make status` shows an old state. {error}")

    def _state(self, phase: str, failure: str | None = None) -> StackState:
        processes = self._supervisor.processes.values()
        return StackState(
            stack_id=self._stack_id,
            phase=phase,
            supervisor_pid=os.getpid(),
            started_at=self._started_at,
            page_url=self.page_url,
            ports=self.ports,
            pids={process.name: process.pid for process in processes if process.is_running},
            restarts=self._supervisor.restarts,
            failure=failure,
            notices=self._notices,
        )
