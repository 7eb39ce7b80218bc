"""The processes of a stack and their ports, directories and environments. Starts nothing."""

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from local_stack import application
from local_stack.data_directory import DataDirectory
from local_stack.emulators.process_specs import firestore_emulator, pubsub_emulator
from local_stack.loopback import LOOPBACK, PortReservations, unguessable_address
from local_stack.processes.child_process import ProcessSpec
from local_stack.provisioning import PushEndpoints
from local_stack.settings import (
    LOCAL_DEFAULTS,
    MODEL_CATALOG_VARIABLE,
    MODEL_POOLS_VARIABLE,
    MODELS_VARIABLE,
    StackSettings,
    names_as_environment,
    with_overrides,
)
from local_stack.views.metrics import METRICS_SUFFIX

_PAGE_PORT = "PORT"
"""Also the variable of the command's --port, which has precedence."""
FIRESTORE_BROWSER_PORT = "firestore-browser"
"""The name of the Firestore proxy's port for pages."""
PUBSUB_PUSH_PORT = "pubsub-pushes"
"""The name of the Pub/Sub proxy's port for the emulator's pushes."""


class Composition:
    """The specs of one stack's processes. Each port is chosen on first use and then fixed."""

    def __init__(self, settings: StackSettings, data: DataDirectory, notify: Callable[[str], None]) -> None:
        self._settings = settings
        self._data = data
        self._notify = notify
        self._firestore_address = unguessable_address()
        self._token = secrets.token_urlsafe(32)
        self._ports: dict[str, int] = {}
        self._reservations = PortReservations()
        self._port(FIRESTORE_BROWSER_PORT)  # before another process gets the port of the last stack
        self.pools = settings.pools()
        """The pools, those with workers first."""

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports chosen so far, by process name; `api` is the page's."""
        return self._ports

    @property
    def page_url(self) -> str | None:
        return f"http://localhost:{self._port('api')}/" if self._settings.serves_api else None

    @property
    def push_endpoints(self) -> PushEndpoints | None:
        """The push endpoints at the Pub/Sub proxy, which adds the token: the emulator sends no headers."""
        if not self._settings.serves_api:
            return None
        internal = f"http://{self.host(PUBSUB_PUSH_PORT)}/internal"
        return PushEndpoints(dead_letters=f"{internal}/dead-letters", events=f"{internal}/events")

    @property
    def environment(self) -> dict[str, str]:
        """The addresses and settings that a program needs to connect to this stack."""
        return {
            "PUBSUB_EMULATOR_HOST": self.host("pubsub-proxy"),
            "FIRESTORE_EMULATOR_HOST": self.host("firestore-proxy"),
            "DARKROOM_FIRESTORE_BROWSER_HOST": self.host(FIRESTORE_BROWSER_PORT),
            "STORAGE_EMULATOR_HOST": f"http://{self.host('bucket-server')}",
            **names_as_environment(self._settings.names),
            "DARKROOM_SUBSCRIPTION": self._settings.names.tasks_subscription(self.pools[0].name),
            MODEL_POOLS_VARIABLE: json.dumps({pool.name: pool.models for pool in self.pools}),
            **self._catalog_variable,
            **with_overrides(LOCAL_DEFAULTS, self._settings.caller_environment),
            "DARKROOM_INTERNAL_TOKEN": self._token,
            **self._settings.extra_environment,
        }

    @property
    def ignored_variables(self) -> tuple[str, ...]:
        """The caller's variables that the stack replaces, because they connect its processes."""
        caller, given = self._settings.caller_environment, self._settings.extra_environment
        environment = {
            **self.environment,
            **(self.api().environment if self._settings.serves_api else {}),
            **(self.worker(0).environment if self.worker_count else {}),
        }
        ignored = {name for name, value in environment.items() if caller.get(name, value) != value}
        return tuple(sorted(ignored - {_PAGE_PORT, MODEL_CATALOG_VARIABLE, MODELS_VARIABLE, *given}))

    @property
    def worker_count(self) -> int:
        return sum(pool.workers for pool in self.pools)

    @property
    def notices(self) -> tuple[str, ...]:
        idle = [pool for pool in self.pools if pool.workers == 0 and self._settings.serves_api]
        unserved = [model for pool in idle for model in pool.models]
        ignored = self.ignored_variables
        return (
            *([f"Ignored variables, which the stack sets itself: {', '.join(ignored)}."] if ignored else []),
            *([f"No worker serves {', '.join(unserved)}: their tasks wait."] if unserved else []),
        )

    def host(self, name: str) -> str:
        """Return `host:port` of a process. The Firestore emulator is at an address that no page can guess."""
        address = self._firestore_address if name == "firestore-emulator" else LOOPBACK
        return f"{address}:{self._port(name)}"

    def infrastructure(self, latest_export: Callable[[], Path | None]) -> tuple[ProcessSpec, ...]:
        """Return the specs of all processes that the project's own programs need."""
        serves_api = self._settings.serves_api
        return (
            pubsub_emulator(
                port=self._port("pubsub-emulator"),
                project_id=self._settings.names.project_id,
                java=self._settings.java,
                notify=self._notify,
            ),
            self.firestore(latest_export),
            application.bucket_server(port=self._port("bucket-server"), directory=self._data.bucket),
            application.pubsub_proxy(
                port=self._port("pubsub-proxy"),
                emulator=self.host("pubsub-emulator"),
                push_port=self._port(PUBSUB_PUSH_PORT) if serves_api else None,
                api_port=self._port("api") if serves_api else None,
                token=self._token,
            ),
            application.firestore_proxy(
                port=self._port("firestore-proxy"),
                browser_port=self._port(FIRESTORE_BROWSER_PORT),
                emulator=self.host("firestore-emulator"),
                project_id=self._settings.names.project_id,
                exports=self._data.firestore,
                journal=self._data.firestore_journal,
            ),
        )

    def firestore(self, latest_export: Callable[[], Path | None]) -> ProcessSpec:
        """Return the emulator's spec. `latest_export` is called at each start."""
        return firestore_emulator(
            host=self._firestore_address,
            port=self._port("firestore-emulator"),
            websocket_port=self._port("firestore-websocket"),
            project_id=self._settings.names.project_id,
            rules=self._settings.rules,
            exported=latest_export(),
            java=self._settings.java,
            notify=self._notify,
            renew=lambda: self.firestore(latest_export),
        )

    def api(self) -> ProcessSpec:
        return application.api(port=self._port("api"), environment=self._telemetry_environment("api"))

    def worker(self, number: int) -> ProcessSpec:
        name = f"worker-{number}"
        return application.worker(
            number=number,
            health_port=self._port(name),
            environment=self._telemetry_environment(name) | self._pool_environment(number),
            module=self._settings.worker_module,
        )

    def scheduler(self, *, queue_created_at: datetime) -> ProcessSpec:
        return application.scheduler(
            api_port=self._port("api"),
            interval_seconds=self._settings.rescue_interval_seconds,
            queue_created_at=queue_created_at,
            environment=self.environment,
        )

    def _telemetry_environment(self, name: str) -> dict[str, str]:
        """Return the environment of a program of the project, with a port for its metrics."""
        variables = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(self._port(name + METRICS_SUFFIX))}
        if self._settings.writes_traces:
            variables["DARKROOM_TRACE_EXPORTER"] = "file"
            variables["DARKROOM_TRACE_FOLDER"] = str(self._data.traces)
        return variables | self.environment

    @property
    def _catalog_variable(self) -> dict[str, str]:
        path = self._settings.catalog_path
        return {} if path is None else {MODEL_CATALOG_VARIABLE: str(path)}

    def _pool_environment(self, number: int) -> dict[str, str]:
        """Return the variables with a worker's models; an extra worker joins the first pool."""
        planned = [pool for pool in self.pools for _ in range(pool.workers)]
        pool = planned[number] if number < len(planned) else self.pools[0]
        subscription = self._settings.names.tasks_subscription(pool.name)
        return {"DARKROOM_SUBSCRIPTION": subscription, MODELS_VARIABLE: ",".join(pool.models)}

    def release_ports(self) -> None:
        """Let other stacks choose the ports of this one, which has stopped."""
        self._reservations.release()

    def _port(self, name: str) -> int:
        if name not in self._ports:
            page_port = self._settings.port if name == "api" else None
            # An open page's Content-Security-Policy permits only the port from when it was loaded.
            kept = self._data.browser_port if name == FIRESTORE_BROWSER_PORT else None
            self._ports[name] = page_port or self._unused_port(preferred=kept)
        return self._ports[name]

    def _unused_port(self, *, preferred: int | None) -> int:
        """Return a free port that is not the page's."""
        while (port := self._reservations.reserve(preferred=preferred)) == self._settings.port:
            continue
        return port
