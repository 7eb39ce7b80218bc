"""Failures of Firestore, Pub/Sub and the bucket, as networks and services fail."""

import random
import time
from collections.abc import Callable
from http import HTTPStatus

import grpc
import pytest

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import DependencyUnavailableError, TaskNotFoundError
from common.domain.task import TaskStatus
from tests.chaos.grpc_gate import GrpcGate
from tests.chaos.network import Link
from tests.chaos.rig import LASTING_CLAIMS, SIDE, Rig, Site
from tests.chaos.waiting import pause, wait_for

pytestmark = pytest.mark.chaos
long = pytest.mark.chaos_long
FAILED = frozenset({TaskStatus.FAILED})


def test_no_task_is_lost_when_the_queue_is_lost(rig: Rig) -> None:
    rig.start_worker(DARKROOM_SLOTS=1)
    rig.hold()
    drawn = rig.submit(steps=20)
    rig.wait_until_drawn(drawn)
    for _ in range(4):
        rig.submit(steps=20)
    rig.queue_was_lost = True
    rig.site.stack.restart("pubsub-emulator")
    rig.release()
    tasks = rig.verify()
    assert {task.attempt for task in tasks.values()} == {1}


@pytest.mark.parametrize("seconds", [4, pytest.param(20, marks=long)])
def test_api_returns_503_during_a_firestore_outage(rig: Rig, seconds: int) -> None:
    worker = rig.start_worker()
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.wait_until_drawn(task_id, step=5)
    links = (worker.links.firestore, rig.site.api_links.firestore)
    for link in links:
        link.refuse()
    rig.release()
    refused = rig.try_submit()
    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert int(refused.headers["Retry-After"]) >= 1
    pause(seconds)
    for link in links:
        link.restore()
    rig.wait_for_api()
    rig.submit()
    rig.verify()


@pytest.mark.parametrize("verb", [Link.stall, Link.refuse], ids=["silent", "refusing"])
def test_firestore_call_fails_within_its_timeout(site: Site, verb: Callable[[Link], None]) -> None:
    link = site.network.link(lambda: site.port_of("firestore-proxy"))
    store = FirestoreTaskStore(
        firestore_client(site.names.project_id, emulator_host=link.host), timeout_seconds=2
    )
    with pytest.raises(TaskNotFoundError):
        store.get("no-such-task")
    verb(link)
    began = time.monotonic()
    with pytest.raises(DependencyUnavailableError):
        store.get("no-such-task")
    assert time.monotonic() - began < 100  # where the library would continue for five minutes


@long
@pytest.mark.parametrize("seconds", [6, 20])
def test_short_bucket_outage_costs_no_attempt(rig: Rig, seconds: int) -> None:
    worker = rig.start_worker()
    worker.links.storage.refuse()
    task_id = rig.submit(num_images=2)
    rig.wait_until_drawn(task_id)
    pause(seconds)
    worker.links.storage.restore()
    assert rig.verify()[task_id].attempt == 1


@long
def test_permanent_bucket_outage_fails_the_task(rig: Rig) -> None:
    worker = rig.start_worker(DARKROOM_PATIENCE_SECONDS=0.5)
    worker.links.storage.refuse()
    task_id = rig.submit(permitted=FAILED)
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (4, 0)
    assert task.failure is not None
    assert task.failure.code == "dependency_unavailable"


def test_interrupted_upload_leaves_no_partial_image(rig: Rig) -> None:
    worker = rig.start_worker()
    cut = worker.links.storage.truncate(b"attempt-1/0", more_bytes=150)
    task_id = rig.submit()
    assert cut.wait(60)
    assert rig.verify()[task_id].attempt == 1


@pytest.mark.parametrize(("written", "status"), [(b"processing", "processing"), (b"completed", "completed")])
def test_commit_is_applied_once_when_its_response_is_lost(rig: Rig, written: bytes, status: str) -> None:
    worker = rig.start_worker(**LASTING_CLAIMS)
    lost = worker.links.firestore.hold(written, arrives=True)
    task_id = rig.submit()
    assert lost.wait(60)
    rig.wait_until(task_id, lambda task: task.status == status)
    worker.links.firestore.reset()
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


def test_repeated_submission_creates_one_task_when_unconfirmed(rig: Rig) -> None:
    rig.start_worker()
    key, link = {"Idempotency-Key": f"unconfirmed-{random.random()}"}, rig.site.api_links.firestore
    lost = link.hold(b"unconfirmed circle", arrives=True)
    refused = rig.try_submit("an unconfirmed circle", headers=key)
    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert lost.is_set()
    link.reset()
    rig.wait_for_api()
    again = rig.try_submit("an unconfirmed circle", headers=key)
    assert again.is_success, again.text
    assert rig.verify()[again.json()["id"]].attempt == 1


def test_repeated_batch_creates_no_duplicates_when_unconfirmed(rig: Rig) -> None:
    count, run, link = 60, f"unconfirmed-{random.random()}", rig.site.api_links.firestore
    batch = {
        "tasks": [
            {
                "prompt": "a silent square",
                "width": SIDE,
                "height": SIDE,
                "steps": 2,
                "idempotency_key": f"{run}-{n}",
            }
            for n in range(count)
        ]
    }
    lost = link.hold(b"a silent square", arrives=True)
    response = rig.client.http.post("/v1/tasks:batch", json=batch).raise_for_status().json()
    assert lost.is_set()
    assert (response["unknown"], response["refused"]) == (count, 0)
    ids = [result["task_id"] for result in response["results"]]
    link.reset()
    rig.wait_for_api()
    again = rig.client.http.post("/v1/tasks:batch", json=batch).raise_for_status().json()
    assert [result["task_id"] for result in again["results"]] == ids
    assert again["replayed"] == count
    for task_id in ids:
        rig.expect(task_id)
    rig.start_worker()
    assert set(rig.verify()) >= set(ids)


def test_tasks_complete_despite_aborted_commits(rig: Rig) -> None:
    rng = random.Random(1)
    with GrpcGate(rig.site.address("firestore-proxy")) as gate:
        rig.start_worker(FIRESTORE_EMULATOR_HOST=gate.host, **LASTING_CLAIMS)
        gate.refuse("Commit", grpc.StatusCode.ABORTED, applies=lambda: rng.random() < 0.6)
        for _ in range(10):
            rig.submit(steps=4)
        tasks = rig.verify()
        assert gate.wait_until_refused("Commit", 10, timeout_seconds=0)
    assert {task.attempt for task in tasks.values()} == {1}


@pytest.mark.parametrize("tasks", [100, pytest.param(1_000, marks=long)])
def test_tasks_complete_when_some_publishes_fail(rig: Rig, tasks: int) -> None:
    rng, link = random.Random(2), rig.site.api_links.pubsub
    with GrpcGate(rig.site.address("pubsub-proxy")) as gate, link.redirected_to(gate.port):
        # The API does not retry this code: each of these is a submission without its message.
        gate.refuse("Publish", grpc.StatusCode.RESOURCE_EXHAUSTED, applies=lambda: rng.random() < 0.1)
        rig.start_worker()
        unconfirmed = 0
        for _ in range(tasks):
            response = rig.try_submit()
            if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                rig.expect(response.json()["task_id"])
                unconfirmed += 1
        assert unconfirmed
        assert len(rig.accepted) == tasks
        assert set(rig.verify(timeout_seconds=120 + tasks / 4)) == set(rig.accepted)


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND])
def test_worker_reopens_its_stream_after_permanent_errors(rig: Rig, code: grpc.StatusCode) -> None:
    with GrpcGate(rig.site.address("pubsub-proxy")) as gate:
        link = rig.site.network.link(lambda: gate.port)
        rig.start_worker(PUBSUB_EMULATOR_HOST=link.host)
        gate.refuse("StreamingPull", code)
        link.cut()
        task_id = rig.submit()
        assert gate.wait_until_refused("StreamingPull", 2, timeout_seconds=60)
        gate.allow("StreamingPull")
        assert rig.verify()[task_id].attempt == 1


@long  # gRPC's keepalive takes up to 50 s to detect it
def test_messages_of_a_half_open_stream_reach_another_worker(rig: Rig) -> None:
    disconnected = rig.start_worker()
    disconnected.links.pubsub.half_open()
    rig.start_worker()
    for _ in range(6):
        rig.submit()
    tasks = rig.verify()
    assert {task.attempt for task in tasks.values()} == {1}


@long
@pytest.mark.parametrize("service", ["firestore", "pubsub"])
def test_api_reconnects_after_a_half_open_connection(rig: Rig, service: str) -> None:
    rig.start_worker()
    rig.submit()
    getattr(rig.site.api_links, service).half_open()
    assert rig.try_submit().status_code == HTTPStatus.SERVICE_UNAVAILABLE
    wait_for(lambda: rig.try_submit().is_success, "the API to reconnect", timeout_seconds=90)
    rig.verify()


@long
def test_worker_reconnects_after_a_half_open_stream(rig: Rig) -> None:
    worker = rig.start_worker()
    worker.links.pubsub.half_open()
    task_id = rig.submit()
    assert rig.verify(timeout_seconds=120)[task_id].attempt == 1
