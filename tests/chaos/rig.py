"""A whole system for fault injection: a stack, separate workers, and a Link for every connection.

- `task_id = rig.submit(steps=50)`: accepted, so the guarantees apply;
- `worker.kill()`: any fault;
- `tasks = rig.verify()`: waits for the terminal states, collects the evidence, and checks it.
"""

import io
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx
from google.pubsub_v1.types import PubsubMessage
from PIL import Image

from common.adapters.grpc_channels import publisher_client
from common.domain.task import Task, TaskStatus
from common.wire_formats.task_message import encode_task_message, task_message_attributes
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from local_stack.processes.orphans import end_orphans
from local_stack.provisioning import ResourceNames
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.chaos.chaos_worker import ChaosWorker, Links
from tests.chaos.collectors import Documents, EventMailbox, Objects
from tests.chaos.network import LOOPBACK, Network
from tests.chaos.waiting import wait_for
from tests.engine_gate import EngineGate
from tests.system_client import SystemClient
from tools.integrity.checker import Verdict, check
from tools.integrity.evidence import COMPLETED, Accepted, Evidence

SIDE = 64
"""Pixels. The smallest image of the demo model."""
LEASE_SECONDS = 10
"""The shortest lease that Pub/Sub supports."""
QUICK = {
    # A dead worker's task is taken over within seconds instead of a minute. Otherwise as in
    # production.
    "DARKROOM_CLAIM_TTL_SECONDS": "5",
    "DARKROOM_HEARTBEAT_INTERVAL_SECONDS": "1",
    "DARKROOM_HOLDER_SILENCE_SECONDS": "4",
    "DARKROOM_CANCELLATION_LOOK_SECONDS": "0.5",
    "DARKROOM_PROGRESS_INTERVAL_SECONDS": "0.2",
    "DARKROOM_CHECKPOINT_INTERVAL_SECONDS": "0.5",
    "DARKROOM_DRAIN_DEADLINE_SECONDS": "3",
    "DARKROOM_MEASURE_AT_START": "false",
    "DARKROOM_SLOTS": "4",
    "DARKROOM_CPU_THREADS": "1",
    "DARKROOM_LEASE_SECONDS": str(LEASE_SECONDS),
}
PRODUCTION: Mapping[str, Any] = {
    # The worker's default.
    "DARKROOM_CLAIM_TTL_SECONDS": 60,
    "DARKROOM_HEARTBEAT_INTERVAL_SECONDS": 3,
    "DARKROOM_HOLDER_SILENCE_SECONDS": 7,
    "DARKROOM_LEASE_SECONDS": 60,
    "DARKROOM_CHECKPOINT_INTERVAL_SECONDS": 2,
}
LASTING_CLAIMS: Mapping[str, Any] = {
    # No claim of a slow worker expires or is taken over.
    "DARKROOM_CLAIM_TTL_SECONDS": 300,
    "DARKROOM_HOLDER_SILENCE_SECONDS": 300,
}
_numbers = count()  # numbers all workers of this program: each has its own log
RecordProperty = Callable[[str, object], None]
"""The pytest fixture that adds a test's measurements to the report."""
CANCELLED = frozenset({TaskStatus.CANCELLED})
_API = {
    "DARKROOM_RESCUE_NEVER_ENQUEUED_SECONDS": "2",
    "DARKROOM_RESCUE_CLAIM_DEAD_SECONDS": "1",
}


class Site:
    """The parts that several tests share: emulators, API, scheduler, network, event mailbox."""

    def __init__(self, data_directory: Path) -> None:
        self.names = ResourceNames()
        self.logs = data_directory / "logs"
        self._exits = ExitStack()
        self._data_directory = data_directory

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.network = exits.enter_context(Network())
            self.api_links = Links(self.network, self.port_of)
            settings = StackSettings(
                data_directory=self._data_directory,
                names=self.names,
                workers=0,
                rescue_interval_seconds=1,
                extra_environment={**QUICK, **_API, **self.api_links.environment},
            )
            self.stack = LocalStack(settings)
            exits.enter_context(self.stack)
            direct = {
                **self.stack.environment,
                "FIRESTORE_EMULATOR_HOST": self.address("firestore-proxy"),
            }
            assert self.stack.page_url is not None
            self.client = exits.enter_context(SystemClient(self.stack.page_url, direct))
            self._publisher = publisher_client(emulator_host=self.address("pubsub-proxy"))
            self._subscriber = subscriber_client(emulator_host=self.address("pubsub-proxy"))
            self.documents = Documents(self.address("firestore-proxy"), self.names)
            self.objects = Objects(f"http://{self.address('bucket-server')}", self.names)
            exits.callback(self.objects.close)
            self.mailbox = EventMailbox(self.address("pubsub-proxy"), self.names)
            exits.callback(self.mailbox.close)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        message = PubsubMessage(data=body, attributes=dict(attributes))
        topic = f"projects/{self.names.project_id}/topics/{self.names.tasks_topic}"
        self._publisher.publish(topic=topic, messages=[message], timeout=60)

    def dead_letters(self, count: int) -> list[PubsubMessage]:
        """Wait for this many dead letters and consume them."""
        subscription = self._subscriber.subscription_path(
            self.names.project_id, self.names.dead_letter_subscription
        )
        letters: list[PubsubMessage] = []
        while len(letters) < count:
            pulled = self._subscriber.pull(subscription=subscription, max_messages=count, timeout=60)
            received = pulled.received_messages
            if received:
                self._subscriber.acknowledge(
                    subscription=subscription, ack_ids=[one.ack_id for one in received]
                )
            letters += [one.message for one in received]
        return letters

    def port_of(self, process: str) -> int:
        """Return the port of a process of the stack, without links."""
        return self.stack.ports[process]

    def address(self, process: str) -> str:
        return f"{LOOPBACK}:{self.port_of(process)}"


class Rig:
    """One test on a site: its workers, its submissions and their verification."""

    def __init__(self, site: Site, *, engine: str) -> None:
        self.site = site
        self.client = site.client
        self.workers: list[ChaosWorker] = []
        self.accepted: dict[str, Accepted] = {}
        self.queue_was_lost = False
        self._engine = engine
        self._stack_id = secrets.token_hex(8)
        self._gate = EngineGate(site.logs.with_name("gates") / self._stack_id)
        self._verified: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.site.api_links.restore()
        for worker in self.workers:
            if worker.process.is_running:
                worker.process.kill()
        end_orphans(self._stack_id)

    @property
    def is_verified(self) -> bool:
        return set(self.accepted) == self._verified

    def start_workers(self, count: int, *, engine: str | None = None, **settings: Any) -> list[ChaosWorker]:
        """Start workers and wait for them. `settings` are environment variables."""
        workers = [self._start(engine or self._engine, settings) for _ in range(count)]
        for worker in workers:
            worker.process.wait_until_ready()
        return workers

    def start_worker(self, *, engine: str | None = None, **settings: Any) -> ChaosWorker:
        return self.start_workers(1, engine=engine, **settings)[0]

    def hold(self, *, steps: int = 1, images: int = 0) -> None:
        """Hold the engines of all running workers once their Runs have taken this many steps, or
        once they have finished this many images. Later engines are not held.
        """
        for worker in self.workers:
            if worker.process.is_running:
                self._gate.hold(worker.engine, steps=steps, images=images)

    def release(self) -> None:
        """Let all held engines continue."""
        self._gate.release()

    def holder_of(self, task: Task) -> ChaosWorker:
        assert task.claim is not None, f"task {task.id} is {task.status}"
        for worker in self.workers:
            if any(line["worker_id"] == task.claim.worker_id for line in worker.log_lines("worker_started")):
                return worker
        raise LookupError(task.claim.worker_id)

    def _start(self, engine: str, settings: Mapping[str, object]) -> ChaosWorker:
        links = Links(self.site.network, self.site.port_of)
        worker = ChaosWorker(
            next(_numbers),
            links,
            environment={
                **self.site.stack.environment,
                **links.environment,
                **self._gate.environment,
                "WORKER_ENGINE": engine,
                **{name: str(value) for name, value in settings.items()},
            },
            logs=self.site.logs,
            stack_id=self._stack_id,
        )
        self.workers.append(worker)
        worker.process.start()
        return worker

    def submit(self, prompt: str = "a large red circle", **fields: Any) -> str:
        """Submit a task that must be accepted, and return its id."""
        response = self.try_submit(prompt, **fields)
        assert response.status_code == HTTPStatus.ACCEPTED, response.text
        return str(response.json()["id"])

    def try_submit(
        self,
        prompt: str = "a large red circle",
        *,
        permitted: frozenset[TaskStatus] = COMPLETED,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> httpx.Response:
        """Submit a task that may be rejected, and return the response."""
        side = fields.pop("side", SIDE)
        body = {"prompt": prompt, "width": side, "height": side, "steps": 2, **fields}
        response = self.client.http.post("/v1/tasks", json=body, headers=dict(headers or {}))
        if response.is_success:  # 202, or 200 for the replay of an accepted submission
            self.expect(
                str(response.json()["id"]),
                images=body.get("num_images", 1),
                side=body["width"],
                permitted=permitted,
            )
        return response

    def expect(
        self, task_id: str, *, images: int = 1, side: int = SIDE, permitted: frozenset[TaskStatus] = COMPLETED
    ) -> None:
        """Register the task for verification, or change its permitted terminal states."""
        self.accepted[task_id] = Accepted(
            task_id=task_id, images=images, width=side, height=side, permitted=permitted
        )

    def cancel(self, task_id: str) -> httpx.Response:
        """Request the task's cancellation, and permit it as terminal state."""
        self.accepted[task_id] = replace(self.accepted[task_id], permitted=COMPLETED | CANCELLED)
        return self.client.http.post(f"/v1/tasks/{task_id}/cancel")

    def wait_until(
        self, task_id: str, holds: Callable[[Task], bool], *, timeout_seconds: float = 60.0
    ) -> Task:
        return self.client.wait_until(task_id, holds, timeout_seconds=timeout_seconds)

    def wait_for_api(self) -> None:
        wait_for(lambda: self.client.http.get("/readyz").is_success, "the API to be ready")

    def redeliver(self, task_id: str, *, times: int = 1) -> None:
        """Publish the task's message again, as Pub/Sub may redeliver it at any time."""
        task = self.site.documents.of([task_id])[task_id]
        body = encode_task_message(task, result_bucket=self.site.names.images_bucket)
        for _ in range(times):
            self.site.publish(body, task_message_attributes(task))

    def pixels(self, task_id: str, index: int = 0) -> bytes:
        with Image.open(io.BytesIO(self.client.image(task_id, index))) as image:
            return image.convert("RGB").tobytes()

    def wait_until_drawn(self, task_id: str, *, step: int = 1, attempt: int = 1) -> Task:
        return self.client.wait_until_drawn(task_id, step=step, attempt=attempt)

    def verify(self, *, timeout_seconds: float = 90.0) -> dict[str, Task]:
        """Wait until all accepted tasks are finished, and assert that no guarantee is violated."""
        self.wait_for_terminal_states(timeout_seconds=timeout_seconds)
        evidence, verdict = self.check_evidence()
        assert not verdict.findings, "\n".join(map(str, verdict.findings))
        self._assert_workers_are_idle()
        return dict(evidence.documents)

    def wait_for_terminal_states(self, *, timeout_seconds: float) -> bool:
        """Wait for all final events, or for the terminal states if the queue was lost."""
        if not self.queue_was_lost:
            return self.site.mailbox.wait_for(self.accepted, timeout_seconds=timeout_seconds)
        for task_id in self.accepted:
            self.client.wait_for_end(task_id, timeout_seconds=timeout_seconds)
        return True

    def check_evidence(self) -> tuple[Evidence, Verdict]:
        evidence = Evidence(
            accepted=tuple(self.accepted.values()),
            documents=self.site.documents.of(self.accepted),
            objects=self.site.objects.of(self.accepted),
            events=self.site.mailbox.events_of(self.accepted),
            queue_was_lost=self.queue_was_lost,
        )
        self._verified = set(self.accepted)
        return evidence, check(evidence)

    def _assert_workers_are_idle(self) -> None:
        """Assert that no running worker still processes a task."""
        for worker in self.workers:
            if worker.process.is_running:
                wait_for(lambda worker=worker: worker.active_tasks == 0, f"{worker.name} to be idle")  # type: ignore[misc]
