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
from tests.chaos.rig import SIDE, Rig, Site
from tests.chaos.waiting import let_pass, wait_for

pytestmark = pytest.mark.chaos
long = pytest.mark.chaos_long
FAILED = frozenset({TaskStatus.FAILED})


def test_a_queue_lost_on_restart_loses_no_task(rig: Rig) -> None:
    rig.start_worker(CHAOS_STEP_SECONDS=0.05, DARKROOM_SLOTS=1)
    drawn, *_waiting = [rig.submit(steps=60) for _ in range(5)]
    rig.wait_until_drawn(drawn, step=5)
    rig.queue_was_lost = True
    rig.site.restart_pubsub()
    tasks = rig.every_promise_kept()
    assert {task.attempt for task in tasks.values()} == {1}


@pytest.mark.parametrize("seconds", [4, pytest.param(20, marks=long)])
def test_while_firestore_is_unreachable_the_api_says_so_and_nothing_is_lost(rig: Rig, seconds: int) -> None:
    worker = rig.start_worker(CHAOS_STEP_SECONDS=0.05)
    task_id = rig.submit(steps=60)
    rig.wait_until_drawn(task_id, step=5)
    links = (worker.links.firestore, rig.site.api_links.firestore)
    for link in links:
        link.refuse()
    refused = rig.try_submit()
    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert int(refused.headers["Retry-After"]) >= 1
    let_pass(seconds)
    for link in links:
        link.pass_on()
    wait_for(lambda: rig.client.http.get("/readyz").is_success, "the API to find Firestore again")
    rig.submit()
    rig.every_promise_kept()


@pytest.mark.parametrize("verb", [Link.stall, Link.refuse], ids=["silent", "refusing"])
def test_nobody_waits_longer_for_firestore_than_was_said(site: Site, verb: Callable[[Link], None]) -> None:
    link = site.network.link(lambda: site.port_of("firestore-proxy"))
    store = FirestoreTaskStore(
        firestore_client(site.names.project_id, emulator_host=link.host), timeout_seconds=2
    )
    with pytest.raises(TaskNotFoundError):
        store.get("nobody")
    verb(link)
    began = time.monotonic()
    with pytest.raises(DependencyUnavailableError):
        store.get("nobody")
    assert time.monotonic() - began < 10  # where the library would continue for five minutes


@long
@pytest.mark.parametrize("seconds", [6, 20])
def test_a_bucket_that_is_away_for_a_while_costs_no_attempt(rig: Rig, seconds: int) -> None:
    worker = rig.start_worker()
    worker.links.storage.refuse()
    task_id = rig.submit(num_images=2)
    rig.wait_until_drawn(task_id)
    let_pass(seconds)
    worker.links.storage.pass_on()
    assert rig.every_promise_kept()[task_id].attempt == 1


@long
def test_a_bucket_that_never_comes_back_fails_the_task_and_says_why(rig: Rig) -> None:
    worker = rig.start_worker(DARKROOM_PATIENCE_SECONDS=0.5)
    worker.links.storage.refuse()
    task_id = rig.submit(endings=FAILED)
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (4, 0)
    assert task.failure is not None
    assert task.failure.code == "dependency_unavailable"


def test_an_upload_that_is_cut_short_leaves_no_half_image(rig: Rig) -> None:
    worker = rig.start_worker()
    cut = worker.links.storage.truncate(b"attempt-1/0", more_bytes=150)
    task_id = rig.submit()
    assert cut.wait(60)
    assert rig.every_promise_kept()[task_id].attempt == 1


@pytest.mark.parametrize(("written", "status"), [(b"processing", "processing"), (b"completed", "completed")])
def test_a_commit_whose_answer_is_lost_is_not_made_twice(rig: Rig, written: bytes, status: str) -> None:
    worker = rig.start_worker()
    lost = worker.links.firestore.hold(written, arrives=True)
    task_id = rig.submit()
    assert lost.wait(60)
    rig.wait_until(task_id, lambda task: task.status == status)
    worker.links.firestore.cut()
    worker.links.firestore.pass_on()
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


def test_a_submission_whose_storing_was_not_confirmed_is_one_task_when_it_is_repeated(rig: Rig) -> None:
    rig.start_worker()
    key, link = {"Idempotency-Key": f"unconfirmed-{random.random()}"}, rig.site.api_links.firestore
    lost = link.hold(b"unconfirmed circle", arrives=True)
    refused = rig.try_submit("an unconfirmed circle", headers=key)
    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert lost.is_set()
    link.cut()
    link.pass_on()
    wait_for(lambda: rig.client.http.get("/readyz").is_success, "the API to find Firestore again")
    again = rig.try_submit("an unconfirmed circle", headers=key)
    assert again.is_success, again.text
    assert rig.every_promise_kept()[again.json()["id"]].attempt == 1


def test_a_batch_with_unconfirmed_storing_makes_no_second_tasks(rig: Rig) -> None:
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
    answer = rig.client.http.post("/v1/tasks:batch", json=batch).raise_for_status().json()
    assert lost.is_set()
    assert (answer["unknown"], answer["refused"]) == (count, 0)
    ids = [result["task_id"] for result in answer["results"]]
    link.cut()
    link.pass_on()
    wait_for(lambda: rig.client.http.get("/readyz").is_success, "the API to find Firestore again")
    again = rig.client.http.post("/v1/tasks:batch", json=batch).raise_for_status().json()
    assert [result["task_id"] for result in again["results"]] == ids
    assert again["replayed"] == count
    for task_id in ids:
        rig.expect(task_id)
    rig.start_worker()
    assert set(rig.every_promise_kept()) >= set(ids)


def test_a_storm_of_aborted_commits_passes_over(rig: Rig) -> None:
    dice = random.Random(1)
    with GrpcGate(rig.site.address("firestore-proxy")) as gate:
        rig.start_worker(FIRESTORE_EMULATOR_HOST=gate.host)
        gate.refuse("Commit", grpc.StatusCode.ABORTED, applies=lambda: dice.random() < 0.6)
        for _ in range(10):
            rig.submit(steps=4)
        tasks = rig.every_promise_kept()
        assert gate.wait_until_refused("Commit", 10, timeout_seconds=0)
    assert {task.attempt for task in tasks.values()} == {1}


@pytest.mark.parametrize("tasks", [100, pytest.param(1_000, marks=long)])
def test_of_what_was_submitted_while_one_publish_in_ten_fails_all_is_drawn(rig: Rig, tasks: int) -> None:
    dice, link = random.Random(2), rig.site.api_links.pubsub
    with GrpcGate(rig.site.address("pubsub-proxy")) as gate, link.leading_to(gate.port):
        # The API does not retry this code: each of these is a submission without its message.
        gate.refuse("Publish", grpc.StatusCode.RESOURCE_EXHAUSTED, applies=lambda: dice.random() < 0.1)
        rig.start_worker()
        unconfirmed = 0
        for _ in range(tasks):
            answer = rig.try_submit()
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                rig.expect(answer.json()["task_id"])
                unconfirmed += 1
        assert unconfirmed >= tasks / 20
        assert len(rig.accepted) == tasks
        assert set(rig.every_promise_kept(timeout_seconds=120 + tasks / 4)) == set(rig.accepted)


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND])
def test_a_stream_that_is_ended_for_good_is_opened_again_for_ever(rig: Rig, code: grpc.StatusCode) -> None:
    with GrpcGate(rig.site.address("pubsub-proxy")) as gate:
        link = rig.site.network.link(lambda: gate.port)
        rig.start_worker(PUBSUB_EMULATOR_HOST=link.host)
        gate.refuse("StreamingPull", code)
        link.cut()
        task_id = rig.submit()
        assert gate.wait_until_refused("StreamingPull", 2, timeout_seconds=60)
        gate.allow("StreamingPull")
        assert rig.every_promise_kept()[task_id].attempt == 1


@long  # gRPC's keepalive takes up to 50 s to detect it
def test_what_a_half_open_stream_swallowed_comes_to_another_worker(rig: Rig) -> None:
    deaf = rig.start_worker()
    deaf.links.pubsub.half_open()
    rig.start_worker()
    for _ in range(6):
        rig.submit()
    tasks = rig.every_promise_kept()
    assert {task.attempt for task in tasks.values()} == {1}


@long
@pytest.mark.parametrize("service", ["firestore", "pubsub"])
def test_a_half_open_connection_of_the_api_is_noticed_and_opened_again(rig: Rig, service: str) -> None:
    rig.start_worker()
    rig.submit()
    getattr(rig.site.api_links, service).half_open()
    assert rig.try_submit().status_code == HTTPStatus.SERVICE_UNAVAILABLE
    wait_for(lambda: rig.try_submit().is_success, "the API to notice", timeout_seconds=90)
    rig.every_promise_kept()


@long
def test_a_half_open_stream_is_noticed_and_opened_again(rig: Rig) -> None:
    worker = rig.start_worker()
    worker.links.pubsub.half_open()
    task_id = rig.submit()
    assert rig.every_promise_kept(timeout_seconds=120)[task_id].attempt == 1
