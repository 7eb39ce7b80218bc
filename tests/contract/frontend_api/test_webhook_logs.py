"""The contracts of WebhookLogs and SecretRotations, on the fakes and on Firestore's emulator."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.cloud.firestore import Client

from common.wire_formats.task_event import TaskEvent
from frontend_api.adapters.firestore.secret_rotations import FirestoreSecretRotations
from frontend_api.adapters.firestore.webhook_logs import FirestoreWebhookLogs, shard_of
from frontend_api.webhooks.delivery_log import Outcome, WebhookLog
from frontend_api.webhooks.ports import Rotations, SecretRotations, WebhookLogs
from frontend_api.webhooks.retry_schedule import RetrySchedule
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW
from tests.fakes.in_memory_secret_rotations import InMemorySecretRotations
from tests.fakes.in_memory_webhook_logs import InMemoryWebhookLogs

SCHEDULE = RetrySchedule()
PAUSE = SCHEDULE.first_pause
SERVER_ERROR = Outcome(status=500, duration_seconds=0.125)
DELIVERED = Outcome(status=204, duration_seconds=0.125)
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


def tried(
    number: int = 1,
    outcome: Outcome = SERVER_ERROR,
    *,
    task_id: str = "task-1",
    user_id: str = "ada",
    at: datetime = NOW,
) -> Callable[[WebhookLog], WebhookLog]:
    event = TaskEvent(
        id=f"event-{number}",
        type="task.failed",
        timestamp=NOW,
        task_id=task_id,
        user_id=user_id,
        attempt=number,
    )
    return lambda log: log.tried(
        event,
        url="https://example.com/",
        at=at,
        outcome=outcome,
        schedule=SCHEDULE,
        expires_at=NOW + timedelta(days=30),
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
        lambda: unreachable.callers_due(now=NOW, limit=1),
        lambda: unreachable.due_of("ada", now=NOW, limit=1),
        lambda: unreachable.settle("ada", now=NOW),
    )


def test_failed_tries_are_due_after_their_pause(stores: Stores) -> None:
    logs, later = stores.logs, NOW + timedelta(seconds=1)
    logs.update("b-1", tried(task_id="b-1", user_id="bob", at=later))
    logs.update("a-2", tried(task_id="a-2", at=later))
    logs.update("a-1", tried(task_id="a-1"))
    logs.update("a-0", tried(outcome=DELIVERED, task_id="a-0"))
    assert logs.callers_due(now=NOW, limit=9) == ()
    assert logs.callers_due(now=NOW + PAUSE, limit=9) == ("ada",)
    assert logs.due_of("ada", now=NOW + PAUSE, limit=9) == ("a-1",)
    assert logs.callers_due(now=later + PAUSE, limit=9) == ("ada", "bob")
    assert logs.callers_due(now=later + PAUSE, limit=1) == ("ada",)
    assert logs.due_of("ada", now=later + PAUSE, limit=9) == ("a-1", "a-2")
    assert logs.due_of("ada", now=later + PAUSE, limit=1) == ("a-1",)
    assert logs.due_of("eve", now=later + PAUSE, limit=9) == ()


def test_settled_caller_waits_for_its_next_delivery(stores: Stores) -> None:
    logs, due = stores.logs, NOW + PAUSE
    logs.update("task-1", tried())
    logs.settle("ada", now=NOW)
    assert logs.callers_due(now=due, limit=9) == ("ada",)
    logs.update("task-1", tried(at=due))
    logs.settle("ada", now=due)
    assert logs.callers_due(now=due, limit=9) == ()
    assert logs.callers_due(now=due + PAUSE, limit=9) == ("ada",)
    logs.update("task-1", tried(outcome=DELIVERED, at=due + PAUSE))
    for _ in range(2):
        logs.settle("ada", now=due + PAUSE)
        assert logs.callers_due(now=due + timedelta(days=9), limit=9) == ()


def test_settled_caller_with_due_deliveries_waits_behind_others(stores: Stores) -> None:
    logs, now = stores.logs, NOW + timedelta(minutes=5)
    for task_id, user_id in (("a-1", "ada"), ("b-1", "bob")):
        logs.update(task_id, tried(task_id=task_id, user_id=user_id))
    logs.settle("ada", now=now)
    assert logs.callers_due(now=now, limit=9) == ("bob", "ada")
    logs.update("a-2", tried(task_id="a-2", at=now))  # must not move the turn
    assert logs.callers_due(now=now, limit=9) == ("bob", "ada")


def test_overdue_delivery_moves_its_caller_before_no_other(stores: Stores) -> None:
    """A log with an overdue delivery is written for another one."""
    logs, now = stores.logs, NOW + timedelta(minutes=5)
    for task_id, user_id in (("a-1", "ada"), ("b-1", "bob")):
        logs.update(task_id, tried(task_id=task_id, user_id=user_id))
    logs.settle("ada", now=now)
    logs.update("a-1", tried(2, task_id="a-1", at=now))
    assert logs.callers_due(now=now, limit=9) == ("bob", "ada")


def test_stopped_log_that_is_reopened_has_a_turn(stores: Stores) -> None:
    logs = stores.logs
    logs.update("task-1", tried())
    logs.update("task-1", tried(2, Outcome(status=410)))
    logs.settle("ada", now=NOW)
    assert logs.callers_due(now=NOW + PAUSE, limit=9) == ()
    logs.update("task-1", lambda log: log.reopened(2, user_id="ada", at=NOW, schedule=SCHEDULE))
    assert logs.callers_due(now=NOW, limit=9) == ("ada",)
    logs.update("task-1", tried(2, DELIVERED))
    logs.settle("ada", now=NOW)
    assert logs.callers_due(now=NOW + PAUSE, limit=9) == ("ada",)


def test_caller_of_a_deleted_log_is_settled(stores: Stores) -> None:
    stores.logs.update("task-1", tried())
    stores.logs.delete("task-1")
    assert stores.logs.due_of("ada", now=NOW + PAUSE, limit=9) == ()
    stores.logs.settle("ada", now=NOW + PAUSE)
    assert stores.logs.callers_due(now=NOW + PAUSE, limit=9) == ()


def test_each_delivery_of_concurrent_writers_and_turns_stays_scheduled(stores: Stores) -> None:
    """Whatever their order: a delivery to try again belongs to a caller with a turn."""

    def written(number: int) -> None:
        stores.logs.update(f"task-{number}", tried(task_id=f"task-{number}"))
        stores.logs.settle("ada", now=NOW)
        if number % 2:
            stores.logs.update(f"task-{number}", tried(outcome=DELIVERED, task_id=f"task-{number}"))
            stores.logs.settle("ada", now=NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(written, range(12)))
    assert len(stores.logs.due_of("ada", now=NOW + PAUSE, limit=99)) == 6
    assert stores.logs.callers_due(now=NOW + PAUSE, limit=9) == ("ada",)


@pytest.mark.emulator
def test_turn_that_a_log_changes_during_settle_stays_due(
    firestore: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is written after `settle` has looked for the caller's deliveries, and changes no value of the turn."""
    logs = FirestoreWebhookLogs(firestore, timeout_seconds=60)
    logs.update("task-1", tried())
    logs.update("task-1", tried(outcome=DELIVERED))
    other = next(f"task-{n}" for n in range(2, 99) if shard_of(f"task-{n}") == shard_of("task-1"))
    writes = iter([lambda: logs.update(other, tried(task_id=other, at=NOW + PAUSE))])
    scheduled = logs._scheduled

    class Query:
        def __init__(self, query: Any) -> None:
            self.query = query

        def select(self, names: Any) -> "Query":
            return Query(self.query.select(names))

        def limit(self, count: int) -> "Query":
            return Query(self.query.limit(count))

        def get(self, **options: Any) -> Any:
            found = self.query.get(**options)
            for write in writes:
                write()
            return found

    monkeypatch.setattr(logs, "_scheduled", lambda user_id: Query(scheduled(user_id)))
    logs.settle("ada", now=NOW + PAUSE)
    assert next(writes, None) is None
    monkeypatch.undo()
    assert logs.due_of("ada", now=NOW + 2 * PAUSE, limit=9) == (other,)
    assert logs.callers_due(now=NOW + 2 * PAUSE, limit=9) == ("ada",)


@pytest.mark.emulator
def test_fields_of_later_releases_are_left_out(firestore: Client) -> None:
    """A release can be rolled back."""
    logs = FirestoreWebhookLogs(firestore, timeout_seconds=60)
    written = logs.update("task-1", tried())
    document = firestore.collection("webhook_logs").document("task-1")
    stored = document.get().to_dict() or {}
    (delivery,) = stored["deliveries"]
    later = {**delivery, "later": 1, "tries": [{**one, "later": 1} for one in delivery["tries"]]}
    document.update({"deliveries": [later], "later": 1})
    assert logs.get("task-1") == written


def test_rotations_are_counted_per_caller(stores: Stores) -> None:
    assert stores.rotations.of("ada") == Rotations()
    later = NOW + timedelta(seconds=1, microseconds=7)
    assert stores.rotations.add("ada", NOW) == Rotations(count=1, last_at=NOW)
    assert stores.rotations.add("ada", later) == Rotations(count=2, last_at=later)
    assert stores.rotations.of("ada") == Rotations(count=2, last_at=later)
    for other in ("bob", "a/b", "..", "__x__", "é" * 128):
        assert stores.rotations.of(other) == Rotations()
        assert stores.rotations.add(other, NOW) == Rotations(count=1, last_at=NOW)
