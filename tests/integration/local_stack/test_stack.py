"""The stack as a whole, without the project's own programs: state, crashes, restarts."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from queue import Empty, SimpleQueue

import httpx
import psutil
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from google.cloud.pubsub_v1.subscriber.message import Message

from local_stack.composition import FIRESTORE_BROWSER_PORT
from local_stack.data_directory import DataDirectory
from local_stack.errors import ProcessFailedError, StackAlreadyRunningError
from local_stack.processes.orphans import orphans_of
from local_stack.processes.process_end import ended_within
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.emulators import Emulators
from tests.supervision import firestore_of

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("emulators")]


def images(stack: LocalStack) -> storage.Bucket:
    client = storage.Client(
        project=stack.environment["GOOGLE_CLOUD_PROJECT"],
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": stack.environment["STORAGE_EMULATOR_HOST"]},
    )
    return client.bucket(stack.environment["DARKROOM_IMAGES_BUCKET"])


def test_documents_and_images_survive_a_restart(tmp_path: Path) -> None:
    with LocalStack.emulators_only(tmp_path) as first:
        firestore_of(first).document("tasks/t").set({"status": "queued"})
        images(first).blob("t/0.png").upload_from_string(b"pixels")
        with pytest.raises(StackAlreadyRunningError), LocalStack.emulators_only(tmp_path):
            pass
        pids = list(DataDirectory(tmp_path).state().pids.values())  # type: ignore[union-attr]
        assert len(pids) == 5
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not DataDirectory(tmp_path).is_in_use()
    with LocalStack.emulators_only(tmp_path) as second:
        assert firestore_of(second).document("tasks/t").get().to_dict() == {"status": "queued"}
        assert images(second).blob("t/0.png").download_as_bytes() == b"pixels"


def test_browsers_cannot_speak_to_the_grpc_ports(emulators: Emulators) -> None:
    """They speak HTTP/1.1, and HTTP/2 only over TLS; these ports speak HTTP/2 without TLS."""
    origin = {"Origin": "https://evil.example"}
    for host in (emulators.pubsub_host, emulators.firestore_host):
        with pytest.raises(httpx.RemoteProtocolError), httpx.Client(trust_env=False, timeout=60) as browser:
            browser.post(f"http://{host}/v1/projects/p/topics/t:publish", json={}, headers=origin)


def test_invalid_rules_are_reported(tmp_path: Path) -> None:
    rules = tmp_path / "firestore.rules"
    rules.write_text("service cloud.firestore { nonsense }")
    stack = LocalStack.emulators_only(tmp_path / "data", rules=rules)
    with pytest.raises(ProcessFailedError, match=r"cannot become ready: .*Error compiling rules"), stack:
        pass
    assert not DataDirectory(tmp_path / "data").is_in_use()


def received_within(messages: "SimpleQueue[Message]", *, seconds: float) -> Message | None:
    try:
        return messages.get(timeout=seconds)
    except Empty:
        return None


def test_clients_reconnect_to_a_restarted_pubsub_emulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the restart it is provisioned and empty, and numbers its deliveries from 1 again."""
    with LocalStack.emulators_only(tmp_path) as stack:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.environment["PUBSUB_EMULATOR_HOST"])
        project = stack.environment["GOOGLE_CLOUD_PROJECT"]
        topic = f"projects/{project}/topics/{stack.environment['DARKROOM_TASKS_TOPIC']}"
        subscription = f"projects/{project}/subscriptions/{stack.environment['DARKROOM_SUBSCRIPTION']}"
        received: SimpleQueue[Message] = SimpleQueue()
        publisher = pubsub_v1.PublisherClient()
        with pubsub_v1.SubscriberClient() as subscriber:
            stream = subscriber.subscribe(subscription, received.put)
            publisher.publish(topic, b"before", model="demo").result(60)
            old = received.get(timeout=60)
            stack.restart("pubsub-emulator")
            publisher.publish(topic, b"after", model="demo").result(60)
            while (new := received_within(received, seconds=1)) is None:
                if stream.done():  # it polled before the subscriptions were created again
                    stream = subscriber.subscribe(subscription, received.put)
            assert new.data == b"after"
            subscriber.acknowledge(subscription=subscription, ack_ids=[old.ack_id])
            new.nack()
            again = received.get(timeout=60)
            assert again.data == b"after"
            again.ack()
            stream.cancel()
            stream.result(60)
        publisher.stop()
        with pytest.raises(KeyError, match="there are pubsub-emulator, firestore-emulator"):
            stack.process("no-such-process")


def test_confirmed_writes_survive_a_killed_firestore_emulator(tmp_path: Path) -> None:
    notices: list[str] = []
    settings = StackSettings(data_directory=tmp_path, serves_api=False, workers=0, rules=None)
    with LocalStack(settings, notices.append) as stack:
        port = stack.ports[FIRESTORE_BROWSER_PORT]
        here = firestore_of(stack)
        here.document("tasks/saved").set({"status": "queued"})
        stack.save_documents()
        here.document("tasks/later").set({"status": "queued"})
        for name in ("firestore-emulator", "firestore-proxy"):
            stack.process(name).kill()
    assert any("the previous save is kept" in line for line in notices)
    with LocalStack(settings) as stack:
        here = firestore_of(stack)
        assert {found.id for found in here.collection("tasks").stream()} == {"saved", "later"}
        assert stack.ports[FIRESTORE_BROWSER_PORT] == port  # which open pages still use


def test_save_discards_the_covered_journal(tmp_path: Path) -> None:
    settings = StackSettings(
        data_directory=tmp_path, serves_api=False, workers=0, rules=None, export_interval_seconds=0.05
    )
    with LocalStack(settings) as stack:
        here, journal = firestore_of(stack), tmp_path / "firestore" / "journal"
        here.document("tasks/t").set({"step": 0})
        first, step = min(journal.iterdir()), 0
        while first.exists():  # segments are rotated every few seconds
            step += 1
            here.document("tasks/t").set({"step": step})
        stack.restart("firestore-emulator")
        assert here.document("tasks/t").get().to_dict() == {"step": step}


CRASHING = """
    import os, pathlib, signal, sys
    from local_stack.stack import LocalStack
    with LocalStack.emulators_only(pathlib.Path(sys.argv[1])) as stack:
        print("ready", flush=True)
        stack.watch()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_killed_stack_leaves_no_process_and_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(CRASHING), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        state = DataDirectory(tmp_path).state()
        assert state is not None
        supervisor.kill()
        supervisor.wait()
    assert all(ended_within(pid, 30) for pid in state.pids.values())
    with LocalStack.emulators_only(tmp_path):
        assert not orphans_of(state.stack_id)


def open_rules(folder: Path) -> Path:
    rules = folder / "firestore.rules"
    rules.write_text("service cloud.firestore { match /{document=**} { allow read: if true; } }")
    return rules


def run(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "local_stack", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd, env=environment
    )


def test_command_line_starts_and_stops_a_stack(tmp_path: Path) -> None:
    rules = open_rules(tmp_path)
    data = tmp_path / "data"
    options = ("--data-dir", str(data))
    started = run("up", "--detach", "--emulators-only", "--rules", str(rules), *options)
    try:
        assert started.returncode == 0, started.stderr
        assert "darkroom is ready after" in started.stdout
        state = json.loads(run("status", "--json", *options).stdout)
        assert state["phase"] == "ready"
        assert set(state["pids"]) == {
            "pubsub-emulator",
            "firestore-emulator",
            "firestore-proxy",
            "pubsub-proxy",
            "bucket-server",
        }
        assert "firestore-emulator" in run("status", *options).stdout
        again = run("up", "--emulators-only", "--rules", str(rules), *options)
        assert again.returncode == 1
        assert "A stack is already running on" in again.stderr
        assert "Traceback" not in again.stderr
        assert "pubsub-proxy | " in run("logs", *options).stdout
        assert (
            "Available: bucket-server, firestore-emulator" in run("logs", "no-such-process", *options).stderr
        )
    finally:
        stopped = run("down", *options)
    assert (stopped.returncode, stopped.stdout) == (0, "Stopped.\n")
    assert run("status", *options).returncode == 3
    assert run("down", *options).stdout.startswith("Nothing is running")
    assert not orphans_of(state["stack_id"])
    assert DataDirectory(data).state() is None


def test_status_shows_why_the_stack_stopped(tmp_path: Path) -> None:
    rules = open_rules(tmp_path)
    data = DataDirectory(tmp_path / "data")
    options = ("--data-dir", str(data.path))
    started = run("up", "--detach", "--emulators-only", "--rules", str(rules), *options)
    try:
        assert started.returncode == 0, started.stderr
        state = data.state()
        assert state is not None
        os.kill(state.pids["pubsub-emulator"], signal.SIGKILL)
        assert ended_within(state.supervisor_pid, 60)
        status = run("status", *options)
        assert status.returncode == 3
        assert "The stack stopped because pubsub-emulator exited unexpectedly (SIGKILL)." in status.stdout
        assert str(data.logs / "pubsub-emulator.log") in status.stdout
        assert "pubsub-emulator" in json.loads(run("status", "--json", *options).stdout)["failure"]
    finally:
        stopped = run("down", *options)
    assert "pubsub-emulator exited unexpectedly" in stopped.stdout
    assert run("status", *options).stdout == f"Nothing is running on {data.path}.\n"


def test_ctrl_c_stops_a_stack_in_the_terminal(tmp_path: Path) -> None:
    rules = open_rules(tmp_path)
    data = DataDirectory(tmp_path / "data")
    command = [sys.executable, "-m", "local_stack", "up", "--emulators-only", "--data-dir", str(data.path)]
    with subprocess.Popen(
        [*command, "--rules", str(rules)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as supervisor:
        assert supervisor.stdout is not None
        assert any("darkroom is ready" in line for line in supervisor.stdout)
        state = data.state()
        assert state is not None
        supervisor.send_signal(signal.SIGINT)
        rest = supervisor.stdout.read()
        assert supervisor.wait(60) == 0
    assert rest.endswith("Stopped.\n")
    assert not orphans_of(state.stack_id)
