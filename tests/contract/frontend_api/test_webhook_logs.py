"""The contracts of WebhookLogs and SecretRotations, on the fakes and on Firestore's emulator."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from google.cloud.firestore import Client

from common.wire_formats.task_event import TaskEvent
from frontend_api.adapters.firestore.secret_rotations import FirestoreSecretRotations
from frontend_api.adapters.firestore.webhook_logs import FirestoreWebhookLogs
from frontend_api.webhooks.delivery_log import Outcome, WebhookLog
from frontend_api.webhooks.ports import Rotations, SecretRotations, WebhookLogs
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW
from tests.fakes.in_memory_secret_rotations import InMemorySecretRotations
from tests.fakes.in_memory_webhook_logs import InMemoryWebhookLogs

SERVER_ERROR = Outcome(status=500, duration_seconds=0.125)
EMULATOR = pytest.param("emulator", marks=pytest.mark.emulator)


@dataclass
class Stores:
    logs: WebhookLogs
    rotations: SecretRotations


@pytest.fixture(params=["fake", EMULATOR])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "fake":
        return Stores(InMemoryWebhookLogs(), InMemorySecretRotations())
    client = request.getfixturevalue("firestore")
    return Stores(
        FirestoreWebhookLogs(client, timeout_seconds=60), FirestoreSecretRotations(client, timeout_seconds=60)
    )


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest, unreachable_firestore: Client) -> WebhookLogs:
    if request.param == "fake":
        fake = InMemoryWebhookLogs()
        fake.unavailable = True
        return fake
    return FirestoreWebhookLogs(unreachable_firestore, timeout_seconds=0.5)


def tried(number: int = 1, outcome: Outcome = SERVER_ERROR) -> Callable[[WebhookLog], WebhookLog]:
    event = TaskEvent(
        id=f"event-{number}",
        type="task.failed",
        timestamp=NOW,
        task_id="task-1",
        user_id="ada",
        attempt=number,
    )
    return lambda log: log.tried(
        event, url="https://example.com/", at=NOW, outcome=outcome, expires_at=NOW + timedelta(days=30)
    )


def test_log_starts_empty_and_is_read_as_written(stores: Stores) -> None:
    empty = stores.logs.get("task-1")
    assert (empty, empty.revision) == (WebhookLog(task_id="task-1"), None)
    written = stores.logs.update("task-1", tried())
    written = stores.logs.update(
        "task-1", tried(outcome=Outcome(error="did not answer", duration_seconds=15.0))
    )
    written = stores.logs.update("task-1", tried(2, Outcome(status=410)))
    read = stores.logs.get("task-1")
    assert read == written == tried(2, Outcome(status=410))(replace(read, deliveries=read.deliveries[:1]))
    assert [(one.number, one.tries_made, len(one.tries)) for one in read.deliveries] == [(1, 2, 2), (2, 1, 1)]
    assert (read.stopped_at, read.expires_at) == (NOW, NOW + timedelta(days=30))


def test_concurrent_writers_lose_no_update(stores: Stores) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: stores.logs.update("task-1", tried(number % 2)), range(12)))
    log = stores.logs.get("task-1")
    assert sorted(one.tries_made for one in log.deliveries) == [6, 6]
    assert sorted(one.number for one in log.deliveries) == [1, 2]


def test_outdated_log_is_read_again_before_a_change(stores: Stores) -> None:
    old = stores.logs.get("task-1")
    seen = stores.logs.update("task-1", tried(), last_seen=old)
    stores.logs.update("task-1", tried(2))
    for last_seen in (old, seen):
        stores.logs.update("task-1", tried(), last_seen=last_seen)
    assert [one.tries_made for one in stores.logs.get("task-1").deliveries] == [3, 1]


def test_unchanged_log_is_not_written(stores: Stores) -> None:
    stores.logs.update("task-1", lambda log: log)
    assert stores.logs.get("task-1").revision is None


def test_deleted_log_is_empty_and_delete_is_idempotent(stores: Stores) -> None:
    stores.logs.update("task-1", tried())
    stores.logs.update("task-2", tried())
    for _ in range(2):
        stores.logs.delete("task-1")
    assert stores.logs.get("task-1").deliveries == ()
    assert stores.logs.get("task-2").deliveries != ()


@pytest.mark.timeout(30)
def test_logs_raise_within_seconds_when_unreachable(unreachable: WebhookLogs) -> None:
    assert_each_raises_unavailable(
        lambda: unreachable.get("task-1"),
        lambda: unreachable.update("task-1", tried()),
        lambda: unreachable.delete("task-1"),
    )


def test_rotations_are_counted_per_caller(stores: Stores) -> None:
    assert stores.rotations.of("ada") == Rotations()
    later = NOW + timedelta(seconds=1, microseconds=7)
    assert stores.rotations.add("ada", NOW) == Rotations(count=1, last_at=NOW)
    assert stores.rotations.add("ada", later) == Rotations(count=2, last_at=later)
    assert stores.rotations.of("ada") == Rotations(count=2, last_at=later)
    for other in ("bob", "a/b", "..", "__x__", "é" * 128):
        assert stores.rotations.of(other) == Rotations()
        assert stores.rotations.add(other, NOW) == Rotations(count=1, last_at=NOW)
