"""Downloads from a bucket whose responses take too long."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client as StorageClient

from common.domain.errors import DependencyUnavailableError
from common.domain.images import StoredImage
from frontend_api.adapters.gcs_image_bucket import GcsImageBucket
from frontend_api.adapters.gcs_input_store import GcsInputStore
from frontend_api.adapters.gcs_upload_sessions import GcsUploadSessions
from frontend_api.inputs.stored_input import StoredInput
from tests.factories import NOW

SIZE = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
IMAGE = StoredImage(
    index=0,
    object_name="images/a/1/0.png",
    width=8,
    height=8,
    seed=1,
    content_type="image/png",
    size_bytes=SIZE,
    sha256="0" * 64,
)
INPUT = StoredInput(
    id="0" * 64,
    object_name=f"inputs/ada/{'0' * 64}",
    content_type="image/png",
    size_bytes=SIZE,
    width=8,
    height=8,
    created_at=NOW,
    expires_at=NOW,
)


class TricklingBucket:
    """A server that sends a part of a body, and then a byte every tenth of a second until it is closed."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.hung_up = threading.Event()
        """Set when a client has closed its connection."""
        self._ends = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._ends.set()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._send, args=(connection,), daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                connection.sendall(HEAD % SIZE)
                while not self._ends.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                self.hung_up.set()


@pytest.fixture
def bucket() -> Iterator[TricklingBucket]:
    bucket = TricklingBucket()
    yield bucket
    bucket.close()


Read = Callable[[StorageClient], bytes]


@pytest.mark.parametrize(
    "read",
    [
        lambda client: GcsImageBucket(client, bucket="b", download_seconds=0.5).read(IMAGE),
        lambda client: GcsInputStore(client, bucket="b", download_seconds=0.5).read(INPUT),
        lambda client: GcsUploadSessions(client, bucket="b", download_seconds=0.5).read("uploads/a/b"),
    ],
    ids=["image", "input", "upload"],
)
@pytest.mark.timeout(60)
def test_download_that_arrives_byte_by_byte_ends_after_its_time(
    bucket: TricklingBucket, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.address)
    client = StorageClient(project="demo-x", credentials=AnonymousCredentials())
    with pytest.raises(DependencyUnavailableError):
        read(client)
    assert bucket.hung_up.wait(30)


class _OnePicture(BaseHTTPRequestHandler):
    """A bucket that contains the same picture everywhere."""

    body = b"a picture"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


def test_download_that_has_ended_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    with ThreadingHTTPServer(("127.0.0.1", 0), _OnePicture) as server, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(server.serve_forever)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        client = StorageClient(project="demo-x", credentials=AnonymousCredentials())
        try:
            content = GcsImageBucket(client, bucket="b", download_seconds=3_600).read(IMAGE)
            timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
        finally:
            server.shutdown()
            serving.result(60)
    assert content == _OnePicture.body
    for timer in set(timers) - before:
        timer.join(60)
        assert not timer.is_alive()
