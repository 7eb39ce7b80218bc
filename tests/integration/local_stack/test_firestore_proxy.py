"""The Firestore proxy with the real emulator."""

import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import FailedPrecondition, GoogleAPICallError, MethodNotImplemented
from google.cloud import firestore
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

from common.adapters.firestore_client import firestore_client
from local_stack.data_directory import DataDirectory
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.chaos.waiting import wait_for
from tests.page_channel import PageClient, changed_document, reconnects, unsigned_token, until_current
from tests.supervision import firestore_of, watched

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("emulators")]

RULES = """
rules_version = '2';
service cloud.firestore { match /databases/{d}/documents { match /tasks/{t} {
  allow read: if request.auth.uid == resource.data.user_id;
} } }
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that exports only once, at its end."""
    folder = tmp_path_factory.mktemp("stack")
    rules = folder / "firestore.rules"
    rules.write_text(RULES)
    settings = StackSettings(
        data_directory=folder / "data", serves_api=False, workers=0, rules=rules, export_interval_seconds=3600
    )
    with LocalStack(settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: LocalStack) -> firestore.Client:
    return firestore_of(stack)


def test_confirmed_writes_survive_a_killed_emulator(stack: LocalStack, client: firestore.Client) -> None:
    tasks = client.collection("kept")
    for number in range(20):
        tasks.document(str(number)).create({"step": 0, "at": firestore.SERVER_TIMESTAMP})
        tasks.document(str(number)).update({"step": firestore.Increment(number)})
    batch = client.batch()
    batch.delete(tasks.document("0"))
    batch.set(tasks.document("1"), {"tags": firestore.ArrayUnion(["x"])}, merge=True)
    batch.commit()
    before = {snapshot.id: snapshot.to_dict() for snapshot in tasks.stream()}
    stack.restart("firestore-emulator")
    after = {snapshot.id: snapshot.to_dict() for snapshot in tasks.stream()}
    assert after == before
    assert set(after) == {str(number) for number in range(1, 20)}


def test_write_of_a_killed_proxy_survives_a_killed_emulator(
    stack: LocalStack, client: firestore.Client
) -> None:
    """The proxy was killed after the commit and before its record: the journal lacks the write."""
    project = stack.environment["GOOGLE_CLOUD_PROJECT"]
    emulator = firestore_client(project, emulator_host=stack.host("firestore-emulator"))
    emulator.document("kept/unrecorded").set({"step": 1})
    stack.restart("firestore-proxy")
    stack.restart("firestore-emulator")
    assert client.document("kept/unrecorded").get(timeout=60).to_dict() == {"step": 1}


def test_concurrent_writers_lose_no_confirmed_write(stack: LocalStack, client: firestore.Client) -> None:
    """Exports run at the same time, so that the journal is truncated while it is written."""
    stopping, confirmed = threading.Event(), [0] * 4

    def write(writer: int) -> None:
        while not stopping.is_set():
            number = confirmed[writer] + 1
            try:
                client.document(f"fire/{writer}").set({"number": number}, retry=None, timeout=60)
            except GoogleAPICallError:
                continue
            confirmed[writer] = number

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    for _ in range(2):
        written = sum(confirmed)
        while sum(confirmed) < written + 200:
            with suppress(OSError):  # the emulator of the previous round is not restored yet
                stack.save_documents()
        stack.restart("firestore-emulator")
    client.document("fire/0").get(timeout=60)
    stopping.set()
    for thread in writers:
        thread.join()
    stack.restart("firestore-emulator")
    for writer in range(4):
        found = client.document(f"fire/{writer}").get(timeout=60).to_dict()
        assert found is not None
        # A write without a response may also have succeeded.
        assert found["number"] in (confirmed[writer], confirmed[writer] + 1)


def test_calls_wait_for_the_restarted_emulator(tmp_path: Path) -> None:
    with LocalStack.emulators_only(tmp_path) as stack:
        here = firestore_of(stack)
        here.document("kept/supervised").set({"step": 1})
        ports = dict(stack.ports)
        with watched(stack):
            stack.process("firestore-emulator").kill()
            found = here.document("kept/supervised").get(retry=None, timeout=60)
            wait_for(lambda: restarts(tmp_path).get("firestore-emulator") == 1, "make status to count it")
        assert found.to_dict() == {"step": 1}
        assert stack.ports == ports


def test_emulator_is_restarted_above_its_memory_limit(tmp_path: Path) -> None:
    notices: list[str] = []
    settings = StackSettings(
        data_directory=tmp_path, serves_api=False, workers=0, rules=None, firestore_memory_limit_bytes=1
    )
    with LocalStack(settings, notices.append) as stack:
        here = firestore_of(stack)
        here.document("kept/large").set({"step": 1})
        with watched(stack):
            wait_for(lambda: restarts(tmp_path).get("firestore-emulator") == 1, "the restart")
            assert here.document("kept/large").get(retry=None, timeout=60).to_dict() == {"step": 1}
    assert any("it is restarted with its documents" in line for line in notices)


def restarts(data_directory: Path) -> Mapping[str, int]:
    """Return the restarts that `make status` shows."""
    state = DataDirectory(data_directory).state()
    return state.restarts if state else {}


def test_revision_from_before_a_kill_is_rejected(stack: LocalStack, client: firestore.Client) -> None:
    """A client that read before the restart must read again."""
    document = client.document("kept/revised")
    before = document.set({"step": 1})
    stack.restart("firestore-emulator")
    with pytest.raises(FailedPrecondition):
        document.update(
            {"step": 2}, option=client.write_option(last_update_time=before.update_time), timeout=60
        )


def test_calls_without_a_journal_are_rejected(stack: LocalStack) -> None:

    channel = grpc.insecure_channel(stack.environment["FIRESTORE_EMULATOR_HOST"])
    with pytest.raises(MethodNotImplemented, match="use one of these to write"):
        FirestoreClient(transport=FirestoreGrpcTransport(channel=channel)).delete_document(
            name="projects/demo-x/databases/(default)/documents/tasks/t", timeout=10
        )


def emulator_memory(stack: LocalStack) -> dict[str, int]:
    """Return the objects per class in the emulator. Skips without a JDK."""
    if shutil.which("jcmd") is None:
        pytest.skip("no jcmd")
    pid = str(stack.process("firestore-emulator").pid)
    histogram = subprocess.run(
        ["jcmd", pid, "GC.class_histogram"], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in histogram.stdout.splitlines() if ":" in line]
    return {row[3]: int(row[1]) for row in rows if len(row) > 3 and row[1].isdigit()}


LISTEN_STREAM = "com.google.cloud.datastore.emulator.impl.firestore.CloudFirestoreV1ListenStream"
CHANNEL = "com.google.net.webchannel.server.common.ChannelProcessor"


@reconnects
def test_page_receives_documents_and_later_changes(stack: LocalStack, client: firestore.Client) -> None:
    user_id = secrets.token_hex(4)
    client.document("tasks/first").set({"user_id": user_id, "é": "ü"})
    page = PageClient(stack.environment, user_id)
    assert page.open().headers["Access-Control-Allow-Origin"] == "http://localhost:8080"
    with page.reading() as messages:
        assert changed_document(messages) == "first"
        until_current(messages)
        client.document("tasks/second").set({"user_id": user_id})
        assert "second" in (changed_document(messages), changed_document(messages))
    with page.reading() as messages:  # the connection was cut: the page resumes
        client.document("tasks/third").set({"user_id": user_id})
        assert "third" in (changed_document(messages) for _ in range(4))
    assert page.close().status_code == 200
    assert page.close().text == "Unknown SID"


def test_page_receives_a_document_written_while_it_connects(
    stack: LocalStack, client: firestore.Client
) -> None:
    for number in range(30):
        user_id, task_id = f"connecting-{number}", f"during-{number}"
        document = client.collection("tasks").document(task_id)
        writing = threading.Thread(target=document.set, args=({"user_id": user_id},))
        writing.start()
        assert first_document(stack, user_id) == task_id
        writing.join()


@reconnects
def first_document(stack: LocalStack, user_id: str) -> str:
    """Return the id of the first document that a new page receives."""
    page = PageClient(stack.environment, user_id)
    page.open()
    with page.reading() as messages:
        task_id = changed_document(messages)
    page.close()
    return task_id


def test_page_is_rejected_by_the_rules(stack: LocalStack, client: firestore.Client) -> None:
    client.document("tasks/hers").set({"user_id": "alice"})
    page = PageClient(stack.environment, "alice", token=unsigned_token("bob"))
    page.open()
    with page.reading() as messages:
        message = next(one for one in messages if "error" in one or "cause" in one.get("targetChange", {}))
    assert (message.get("error") or message["targetChange"]["cause"])["code"] == 7


@pytest.mark.parametrize(
    ("token", "origin"),
    [("owner", "http://localhost:8080"), (None, "https://elsewhere.example"), (None, "null")],
    ids=["administrator's token", "page of another site", "page without a site"],
)
def test_page_is_rejected_without_permission(stack: LocalStack, token: str | None, origin: str) -> None:
    assert PageClient(stack.environment, "alice", token=token, origin=origin).open().status_code == 403


def test_closed_pages_leave_no_stream_in_the_emulator(stack: LocalStack, client: firestore.Client) -> None:
    """Half of the pages terminate their channel; half disconnect, as after a crash."""
    before = emulator_memory(stack)
    pages = [PageClient(stack.environment, "many") for _ in range(30)]
    for number, page in enumerate(pages):
        page.open()
        with page.reading() as messages:
            until_current(messages)
        if number % 2:
            page.close()
    assert emulator_memory(stack).get(CHANNEL, 0) == 0
    for number in range(100):
        client.document(f"tasks/many-{number}").set({"user_id": "many", "preview": "x" * 10_000})
    wait_for(
        lambda: emulator_memory(stack).get(LISTEN_STREAM, 0) <= before.get(LISTEN_STREAM, 0),
        "the streams of disconnected pages to be closed",
    )


def test_page_reconnects_to_a_restarted_emulator(stack: LocalStack, client: firestore.Client) -> None:
    client.document("tasks/steady").set({"user_id": "steady"})
    page = PageClient(stack.environment, "steady")
    page.open()
    with page.reading() as messages:
        until_current(messages)
        stack.restart("firestore-emulator")
        assert next(one for one in messages if "error" in one)["error"]["status"] == "UNAVAILABLE"
    page = PageClient(stack.environment, "steady")  # on the same port
    page.open()
    with page.reading() as messages:
        assert changed_document(messages) == "steady"
