"""Each Firestore writer while Firestore aborts commits for contention."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import count

import grpc
import pytest
from google.cloud.firestore import Client

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.firestore_worker_reports import FirestoreWorkerReports
from common.domain.errors import DependencyUnavailableError
from frontend_api.adapters.firestore.api_keys import FirestoreApiKeys
from frontend_api.adapters.firestore.dead_letter_archive import FirestoreDeadLetterArchive
from frontend_api.adapters.firestore.secret_rotations import FirestoreSecretRotations
from frontend_api.adapters.firestore.webhook_logs import FirestoreWebhookLogs
from tests.chaos.grpc_gate import GrpcGate
from tests.contract.frontend_api.test_api_key_store import SEAL, made_key
from tests.contract.frontend_api.test_dead_letter_archive import dead_letter
from tests.emulators import Emulators
from tests.factories import NOW, submitted_task, worker_report

Write = Callable[[Client], object]
SECONDS = 1.0
REPEATED: Mapping[str, Write] = {
    "task": lambda client: FirestoreTaskStore(client, timeout_seconds=SECONDS).create(submitted_task()),
    "report": lambda client: FirestoreWorkerReports(client, timeout_seconds=SECONDS).publish(worker_report()),
    "letter": lambda client: archive(client).add(dead_letter()) or pytest.fail("the letter was not stored"),
    "purge": lambda client: archive(client).purge(died_before=NOW, limit=1),
    "log": lambda client: FirestoreWebhookLogs(client, timeout_seconds=SECONDS).delete("task-1"),
    "revoked key": lambda client: api_keys(client).delete(made_key().id),
}
"""Writes that may be sent twice."""
SENT_ONCE: Mapping[str, Write] = {
    "new key": lambda client: api_keys(client).add(made_key()),
    "rotation": lambda client: FirestoreSecretRotations(client, timeout_seconds=SECONDS).add("ada", NOW),
}
"""Writes whose second sending would change something else."""


def api_keys(client: Client) -> FirestoreApiKeys:
    return FirestoreApiKeys(client, seal=SEAL, timeout_seconds=SECONDS)


def archive(client: Client) -> FirestoreDeadLetterArchive:
    return FirestoreDeadLetterArchive(client, timeout_seconds=SECONDS)


@pytest.fixture
def gate(emulators: Emulators) -> Iterator[GrpcGate]:
    with GrpcGate(emulators.firestore_host) as gate:
        yield gate


@pytest.fixture
def contended(gate: GrpcGate) -> Client:
    return firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=gate.host)


@pytest.mark.emulator
@pytest.mark.parametrize("write", REPEATED.values(), ids=REPEATED)
def test_write_succeeds_when_its_first_commit_is_aborted(
    gate: GrpcGate, contended: Client, write: Write
) -> None:
    commits = count()
    gate.refuse("Commit", grpc.StatusCode.ABORTED, applies=lambda: next(commits) == 0)
    write(contended)
    assert next(commits) > 1


@pytest.mark.emulator
@pytest.mark.parametrize("write", [*REPEATED.values(), *SENT_ONCE.values()], ids=[*REPEATED, *SENT_ONCE])
def test_write_raises_unavailable_when_each_commit_is_aborted(
    gate: GrpcGate, contended: Client, write: Write
) -> None:
    gate.refuse("Commit", grpc.StatusCode.ABORTED)
    with pytest.raises(DependencyUnavailableError):
        write(contended)
