"""The contract of UploadSessions, on the fake and on the local bucket server."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client as StorageClient

from common.domain.inputs import upload_object_name
from frontend_api.adapters.gcs_upload_sessions import GcsUploadSessions
from frontend_api.inputs.ports import UploadSessions
from frontend_api.inputs.stored_input import UploadNotFoundError
from local_stack.loopback import free_port
from tests.contract.outages import assert_each_raises_unavailable
from tests.emulators import Emulators
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_upload_sessions import InMemoryUploadSessions

CONTENT = bytes(range(256)) * 2_048
PART = 256 * 1024
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class Arranged:
    sessions: UploadSessions
    send: Callable[[str, bytes], None]
    broken: UploadSessions


def client(url: str) -> StorageClient:
    return StorageClient(
        project="demo-darkroom", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )


def put(url: str, content: bytes, content_range: str) -> httpx.Response:
    return httpx.put(url, content=content, headers={"Content-Range": content_range}, trust_env=False)


def send_in_parts(url: str, content: bytes) -> None:
    """Send a file as a client does whose connection breaks after the first part."""
    total = len(content)
    assert put(url, content[:PART], f"bytes 0-{PART - 1}/{total}").status_code == 308
    state = put(url, b"", f"bytes */{total}")
    assert (state.status_code, state.headers["Range"]) == (308, f"bytes=0-{PART - 1}")
    assert put(url, content[PART:], f"bytes {PART}-{total - 1}/{total}").status_code == 200


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def arranged(request: pytest.FixtureRequest) -> Arranged:
    if request.param == "fake":
        fake, broken = InMemoryUploadSessions(FakeClock()), InMemoryUploadSessions(FakeClock())
        broken.unavailable = True
        return Arranged(fake, fake.receive, broken)
    emulators: Emulators = request.getfixturevalue("emulators")
    name = emulators.names.images_bucket
    unreachable = client(f"http://127.0.0.1:{free_port()}")
    return Arranged(
        GcsUploadSessions(client(emulators.storage_url), bucket=name),
        send_in_parts,
        GcsUploadSessions(unreachable, bucket=name, timeout_seconds=0.5, download_seconds=0.5),
    )


@pytest.fixture
def name() -> str:
    return upload_object_name("ada", uuid.uuid4().hex)


def start(sessions: UploadSessions, name: str) -> str:
    return sessions.start(name, size_bytes=len(CONTENT), content_type="image/png", origin=None)


def test_file_is_readable_once_it_has_arrived(arranged: Arranged, name: str) -> None:
    url = start(arranged.sessions, name)
    with pytest.raises(UploadNotFoundError):
        arranged.sessions.read(name)
    arranged.send(url, CONTENT)
    assert arranged.sessions.read(name) == CONTENT
    for _ in range(2):
        arranged.sessions.delete(name)
    with pytest.raises(UploadNotFoundError):
        arranged.sessions.read(name)


def test_only_older_files_are_removed(arranged: Arranged, name: str) -> None:
    arranged.send(start(arranged.sessions, name), CONTENT)
    arranged.sessions.remove_older(LONG_AGO)
    assert arranged.sessions.read(name) == CONTENT
    arranged.sessions.remove_older(FAR_AHEAD + timedelta(days=1))
    with pytest.raises(UploadNotFoundError):
        arranged.sessions.read(name)


@pytest.mark.emulator
def test_larger_file_than_announced_is_refused(emulators: Emulators, name: str) -> None:
    sessions = GcsUploadSessions(client(emulators.storage_url), bucket=emulators.names.images_bucket)
    url = start(sessions, name)
    total = len(CONTENT) + 1
    assert put(url, CONTENT + b"x", f"bytes 0-{total - 1}/{total}").status_code == 400


def test_sessions_raise_when_unreachable(arranged: Arranged, name: str) -> None:
    broken = arranged.broken
    assert_each_raises_unavailable(
        lambda: start(broken, name),
        lambda: broken.read(name),
        lambda: broken.delete(name),
        lambda: broken.remove_older(LONG_AGO),
    )
