"""The TaskStore's contract, on the fake and on Firestore's emulator.

Both pass the same tests, so the fake can replace it.
"""

import base64
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from google.api_core.exceptions import Aborted
from google.cloud.firestore import Client

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import (
    ClaimHeldError,
    DependencyUnavailableError,
    DomainError,
    InvalidTransitionError,
    TaskAlreadyExistsError,
    TaskNotFoundError,
)
from common.domain.images import Preview
from common.domain.task import Failure, Phase, Progress, Task, TaskStatus
from common.ports import InvalidPageTokenError, StaleTaskKind, TaskFilter, TaskStore
from tests.emulators import Emulators
from tests.factories import NOW, spent, submitted_task
from tests.fakes.in_memory_task_store import InMemoryTaskStore

TTL = timedelta(seconds=60)


@pytest.fixture
def client(emulators: Emulators) -> Client:
    """A client of a project of its own, so that queries find no documents of other tests."""
    return firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def store(request: pytest.FixtureRequest) -> TaskStore:
    if request.param == "fake":
        return InMemoryTaskStore()
    return FirestoreTaskStore(request.getfixturevalue("client"), timeout_seconds=60)


def stored_task(store: TaskStore, **changes: object) -> Task:
    return store.create(submitted_task(**{"task_id": uuid.uuid4().hex, **changes}))


def test_store_returns_created_task_with_its_revision(store: TaskStore) -> None:
    created = stored_task(store, labels={"team": "pictures"})
    assert created.revision is not None
    read = store.get(created.id)
    assert read == created
    assert read.revision == created.revision


def test_create_fails_for_existing_id(store: TaskStore) -> None:
    task = stored_task(store)
    with pytest.raises(TaskAlreadyExistsError):
        store.create(replace(task, user_id="mallory"))
    assert store.get(task.id).user_id == "ada"


def test_get_fails_for_unknown_task(store: TaskStore) -> None:
    with pytest.raises(TaskNotFoundError):
        store.get("unknown")
    with pytest.raises(TaskNotFoundError):
        store.update("unknown", lambda task: task.enqueued(NOW))


def test_update_writes_the_change_and_returns_it(store: TaskStore) -> None:
    task = stored_task(store)
    written = store.update(task.id, lambda found: found.claimed_by("worker-1", NOW, TTL))
    assert written.status is TaskStatus.PROCESSING
    assert written.revision != task.revision
    assert store.get(task.id) == written


def test_every_field_survives_storage(store: TaskStore) -> None:
    task = stored_task(store, start_within=timedelta(seconds=5), callback_url="https://example.com")
    claimed = store.update(task.id, lambda found: found.claimed_by("worker-1", NOW, TTL))
    assert claimed.claim is not None
    claim = claimed.claim
    progress = Progress(phase=Phase.DENOISING, step=3, steps=20, value=0.15)
    previews = (Preview(index=0, step=3, jpeg=b"\xff\xd8\x00jpeg"),)
    renewed = store.update(
        task.id,
        lambda found: found.renewed(claim, NOW + TTL / 7, TTL, progress=progress, previews=previews),
        last_seen=claimed,
    )
    assert store.get(task.id) == renewed
    failure = Failure(code="engine_crashed", message="the engine died", retryable=True)
    failed = store.update(task.id, lambda found: found.failed(claim, failure, NOW, output=spent(1.5)))
    assert store.get(task.id) == failed
    assert [attempt.ending for attempt in failed.history] == [failure.code]


def test_update_reads_once_when_last_seen_is_stale(store: TaskStore) -> None:
    old = stored_task(store)
    store.update(old.id, lambda task: task.enqueued(NOW))
    claimed = store.update(old.id, lambda task: task.claimed_by("worker-1", NOW, TTL), last_seen=old)
    assert claimed.enqueued_at == NOW
    assert claimed.attempt == 1


def test_update_raises_only_when_the_stored_task_refuses(store: TaskStore) -> None:
    old = stored_task(store)
    cancelled = store.update(old.id, lambda task: task.cancelled(NOW))
    store.update(old.id, lambda task: task.resubmitted(NOW))
    # With the cancelled task as `last_seen` the claim would be refused; the stored one is queued
    # again.
    assert store.update(old.id, lambda task: task.claimed_by("w", NOW, TTL), last_seen=cancelled).attempt == 1


def test_update_writes_nothing_when_nothing_changes(store: TaskStore) -> None:
    task = stored_task(store)
    assert store.update(task.id, lambda found: found).revision == task.revision


def test_update_propagates_errors_and_writes_nothing(store: TaskStore) -> None:
    task = stored_task(store)
    with pytest.raises(InvalidTransitionError):
        store.update(task.id, lambda found: found.cancel_requested(NOW))
    assert store.get(task.id).revision == task.revision


def test_concurrent_claims_have_one_winner(store: TaskStore) -> None:
    task = stored_task(store)
    start = threading.Barrier(8)

    def claim(worker: int) -> str:
        start.wait()
        try:
            store.update(task.id, lambda found: found.claimed_by(f"worker-{worker}", NOW, TTL))
        except DomainError as refusal:
            return refusal.code
        return "won"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(claim, range(8)))
    assert sorted(outcomes) == [ClaimHeldError.code] * 7 + ["won"]
    assert store.get(task.id).attempt == 1


def test_concurrent_updates_are_all_written(store: TaskStore) -> None:
    task = stored_task(store)

    def hand_on(worker: int) -> None:
        moment = NOW + timedelta(seconds=worker)
        store.update(
            task.id, lambda found: replace(found, attempts_left=found.attempts_left + 1, updated_at=moment)
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hand_on, range(16)))
    assert store.get(task.id).attempts_left == task.attempts_left + 16


def test_delete_is_idempotent(store: TaskStore) -> None:
    task = stored_task(store)
    store.delete(task.id, now=NOW)
    store.delete(task.id, now=NOW)
    with pytest.raises(TaskNotFoundError):
        store.get(task.id)


def test_list_returns_the_callers_tasks_in_pages_newest_first(store: TaskStore) -> None:
    mine = [stored_task(store, now=NOW + timedelta(seconds=second // 2)) for second in range(5)]
    stored_task(store, user_id="bob")
    first = store.list_for("ada", page_size=2)
    second = store.list_for("ada", page_size=2, page_token=first.next_page_token)
    third = store.list_for("ada", page_size=2, page_token=second.next_page_token)
    listed = [*first.tasks, *second.tasks, *third.tasks]
    assert [task.id for task in listed] == [
        task.id for task in sorted(mine, key=lambda task: (task.created_at, task.id), reverse=True)
    ]
    assert third.next_page_token is None
    assert all(task.revision for task in listed)


def test_list_continues_after_a_task_that_was_deleted(store: TaskStore) -> None:
    oldest, middle, newest = (stored_task(store, now=NOW + timedelta(seconds=second)) for second in range(3))
    page = store.list_for("ada", page_size=2)
    assert [task.id for task in page.tasks] == [newest.id, middle.id]
    for task in page.tasks:
        store.delete(task.id, now=NOW)
    assert [task.id for task in store.list_for("ada", page_token=page.next_page_token).tasks] == [oldest.id]


def listed(store: TaskStore, **only: Any) -> list[str]:
    return [task.id for task in store.list_for("ada", only=TaskFilter(**only)).tasks]


def test_list_filters_by_status_and_model(store: TaskStore) -> None:
    queued, cancelled = stored_task(store), stored_task(store)
    store.update(cancelled.id, lambda task: task.cancelled(NOW))
    assert listed(store, status=TaskStatus.QUEUED) == [queued.id]
    assert len(listed(store, model="demo")) == 2
    assert listed(store, model="other") == []


def test_list_filters_by_label(store: TaskStore) -> None:
    red = stored_task(store, labels={"team": "red", "7-of": "a=b"})
    stored_task(store, labels={"team": "blue"})
    assert listed(store, label=("team", "red")) == [red.id]
    assert listed(store, label=("7-of", "a=b"), model="demo", status=TaskStatus.QUEUED) == [red.id]
    assert listed(store, label=("team", "green")) == []


def test_list_finds_changed_labels(store: TaskStore) -> None:
    task = stored_task(store, labels={"team": "red", "0-x": "old"})
    store.update(task.id, lambda stored: stored.labelled({"team": "blue", "9-y": "new"}, NOW))
    assert listed(store, label=("team", "red")) == listed(store, label=("0-x", "old")) == []
    assert listed(store, label=("team", "blue")) == listed(store, label=("9-y", "new")) == [task.id]
    assert store.get(task.id).labels == {"team": "blue", "9-y": "new"}


def test_list_filters_by_time_of_creation(store: TaskStore) -> None:
    minute = timedelta(minutes=1)
    first, second, third = (stored_task(store, now=NOW + index * minute).id for index in range(3))
    assert listed(store, created_after=NOW + minute) == [third, second]
    assert listed(store, created_before=NOW + minute) == [first]
    assert listed(store, created_after=NOW + minute, created_before=NOW + 2 * minute) == [second]
    page = store.list_for("ada", only=TaskFilter(created_after=NOW + minute), page_size=1)
    rest = store.list_for("ada", only=TaskFilter(created_after=NOW + minute), page_token=page.next_page_token)
    assert [task.id for task in (*page.tasks, *rest.tasks)] == [third, second]


def test_list_rejects_foreign_page_token(store: TaskStore) -> None:
    stored_task(store)
    beyond_the_years = base64.urlsafe_b64encode(b"0001-01-01T00:00:00+23:59 x").decode()
    for token in ("nonsense", "é", "AAAA", beyond_the_years):
        with pytest.raises(InvalidPageTokenError):
            store.list_for("ada", page_token=token)


def test_delete_unchanged_keeps_a_changed_task(store: TaskStore) -> None:
    seen = stored_task(store)
    changed = store.update(seen.id, lambda task: task.enqueued(NOW))
    assert not store.delete_unchanged(seen)
    assert store.get(seen.id) == changed
    assert store.delete_unchanged(changed)
    assert not store.delete_unchanged(changed)
    with pytest.raises(TaskNotFoundError):
        store.get(seen.id)


MINUTES = [NOW + timedelta(minutes=minute) for minute in range(61)]


def ids(tasks: Iterable[Task]) -> list[str]:
    return [task.id for task in tasks]


def test_list_unattended_returns_only_tasks_of_the_kind(store: TaskStore) -> None:
    never = stored_task(store)
    lost = stored_task(store)
    store.update(lost.id, lambda task: task.enqueued(MINUTES[1]))
    dead = stored_task(store)
    store.update(dead.id, lambda task: task.enqueued(MINUTES[40]).claimed_by("w", MINUTES[40], TTL))
    late = stored_task(store, start_within=timedelta(minutes=45))
    store.update(late.id, lambda task: task.enqueued(MINUTES[44]))
    fine_queued = stored_task(store)
    store.update(fine_queued.id, lambda task: task.enqueued(MINUTES[44]))
    fine_processing = stored_task(store)
    store.update(fine_processing.id, lambda task: task.claimed_by("w", MINUTES[50], TTL))
    just_submitted = stored_task(store, now=MINUTES[50])
    ended = stored_task(store)
    store.update(ended.id, lambda task: task.cancelled(MINUTES[1]))
    unpublished = stored_task(store)
    store.update(
        unpublished.id, lambda task: replace(task.cancelled(MINUTES[1]), event_pending_since=MINUTES[1])
    )
    retried = stored_task(store)
    store.update(retried.id, lambda task: task.cancelled(MINUTES[1]).resubmitted(MINUTES[50]))

    def found(kind: StaleTaskKind, before: datetime) -> set[str]:
        return {task.id for task in store.list_unattended(kind, before=before, limit=10)}

    assert found(StaleTaskKind.NEVER_ENQUEUED, MINUTES[49]) == {never.id}
    assert found(StaleTaskKind.NEVER_ENQUEUED, MINUTES[51]) == {never.id, just_submitted.id, retried.id}
    assert found(StaleTaskKind.MESSAGE_LOST, MINUTES[30]) == {lost.id}
    assert found(StaleTaskKind.CLAIM_EXPIRED, MINUTES[50]) == {dead.id}
    assert found(StaleTaskKind.DEADLINE_EXCEEDED, MINUTES[50]) == {late.id}
    assert found(StaleTaskKind.EVENT_UNPUBLISHED, MINUTES[1]) == set()
    assert found(StaleTaskKind.EVENT_UNPUBLISHED, MINUTES[2]) == {unpublished.id}
    assert found(StaleTaskKind.UNCLAIMED, MINUTES[1]) == {never.id, lost.id, late.id, fine_queued.id}


@pytest.mark.parametrize("kind", StaleTaskKind)
def test_list_unattended_pages_start_with_the_oldest(store: TaskStore, kind: StaleTaskKind) -> None:
    def neglected(minute: int) -> Task:
        task = stored_task(store, now=MINUTES[minute], start_within=timedelta(seconds=1))
        if kind is StaleTaskKind.MESSAGE_LOST:
            return store.update(task.id, lambda found: found.enqueued(MINUTES[minute]))
        if kind is StaleTaskKind.CLAIM_EXPIRED:
            return store.update(task.id, lambda found: found.claimed_by("w", MINUTES[minute], TTL))
        if kind is StaleTaskKind.EVENT_UNPUBLISHED:
            return store.update(task.id, lambda found: replace(found, event_pending_since=MINUTES[minute]))
        return task

    # Two share each timestamp: the id orders them.
    tasks = [neglected(minute // 2) for minute in range(7)]
    waiting = ids(sorted(tasks, key=lambda task: (task.created_at, task.id)))
    listed: list[Task] = []
    while page := store.list_unattended(
        kind, before=MINUTES[60], limit=3, after=listed[-1] if listed else None
    ):
        assert len(page) <= 3
        listed += page
    assert ids(listed) == waiting
    assert [store.get(task.id) for task in listed] == listed


def test_list_expired_pages_contain_only_terminal_tasks(store: TaskStore) -> None:
    keep_for = timedelta(minutes=5)
    waiting, failed, cancelled, retried = (stored_task(store, keep_for=keep_for) for _ in range(4))
    store.update(failed.id, lambda task: task.abandoned(Failure(code="x", message="x"), MINUTES[1]))
    for task in (cancelled, retried):
        store.update(task.id, lambda found: found.cancelled(MINUTES[2]))
    store.update(retried.id, lambda task: task.resubmitted(MINUTES[3]))
    processing = stored_task(store, keep_for=keep_for)
    store.update(processing.id, lambda task: task.claimed_by("w", MINUTES[1], TTL))

    assert store.list_expired(now=MINUTES[6], limit=10) == ()
    assert ids(store.list_expired(now=MINUTES[7], limit=10)) == [failed.id]
    first = store.list_expired(now=MINUTES[60], limit=1)
    assert ids(first) == [failed.id]
    assert ids(store.list_expired(now=MINUTES[60], limit=5, after=first[0])) == [cancelled.id]
    assert waiting.expires_at is None


@pytest.mark.emulator
@pytest.mark.parametrize("times", [2, None])
def test_create_retries_conflicts_up_to_a_limit(
    client: Client, monkeypatch: pytest.MonkeyPatch, times: int | None
) -> None:
    store, task = FirestoreTaskStore(client), submitted_task()
    commit, left = store._writes.commit, count() if times is None else iter(range(times))

    def contended(*writes: object) -> object:
        if next(left, None) is not None:
            raise Aborted("too much contention on these documents")
        return commit(*writes)

    monkeypatch.setattr(store._writes, "commit", contended)
    if times is None:
        with pytest.raises(DependencyUnavailableError, match="conflicting writes"):
            store.create(task)
    else:
        assert store.create(task) == store.get(task.id)


@pytest.mark.emulator
def test_list_skips_undecodable_documents(client: Client) -> None:
    store = FirestoreTaskStore(client)
    tasks = [stored_task(store, task_id=name, keep_for=timedelta(0)) for name in ("a", "b", "c", "d")]
    for name in ("a", "c"):  # as after the rollback of a newer version
        client.collection("tasks").document(name).update({"lane": "express"})

    first = store.list_unattended(StaleTaskKind.NEVER_ENQUEUED, before=MINUTES[60], limit=1)
    assert ids(first) == ["b"]
    assert ids(
        store.list_unattended(StaleTaskKind.NEVER_ENQUEUED, before=MINUTES[60], limit=1, after=first[0])
    ) == ["d"]
    assert ids(store.list_for(tasks[0].user_id).tasks) == ["d", "b"]
    for name in ("b", "d"):
        store.update(name, lambda task: task.cancelled(MINUTES[1]))
    client.collection("tasks").document("c").update({"status": "cancelled", "expires_at": MINUTES[1]})
    assert ids(store.list_expired(now=MINUTES[60], limit=10)) == ["b", "d"]


@pytest.mark.emulator
def test_pending_events_stored_under_the_old_name_are_found_and_confirmed(client: Client) -> None:
    store = FirestoreTaskStore(client)

    def pending(name: str, field: str, minute: int) -> None:
        task = stored_task(store, task_id=name)
        store.update(task.id, lambda found: found.cancelled(MINUTES[minute]))
        client.collection("tasks").document(name).update({field: MINUTES[minute]})

    # "a" and "c" as the previous version writes them during a rolling update.
    pending("a", "untold_since", 1)
    pending("b", "event_pending_since", 2)
    pending("c", "untold_since", 3)
    pending("d", "event_pending_since", 3)

    def page(after: Task | None) -> tuple[Task, ...]:
        return store.list_unattended(
            StaleTaskKind.EVENT_UNPUBLISHED, before=MINUTES[60], limit=3, after=after
        )

    first = page(None)
    assert ids(first) == ["a", "b", "c"]
    assert ids(page(first[-1])) == ["d"]
    for task in first:
        store.update(task.id, lambda found: replace(found, event_pending_since=None), last_seen=task)
    assert ids(page(None)) == ["d"]
