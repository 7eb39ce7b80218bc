"""Downloads from a server on this machine: complete, wrong, cut short, resumed, absent."""

import fcntl
import hashlib
import http.server
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import pytest

from local_stack.emulators.downloads import PinnedDownload, extract_jar, fetch
from local_stack.errors import DownloadError
from local_stack.loopback import free_port

CONTENT = bytes(range(256)) * 5000


@dataclass
class FileServer:
    """Serves CONTENT at /emulator.jar. `ranges` lists the requested ranges."""

    url: str = ""
    content: bytes = CONTENT
    breaks_after: int | None = None
    supports_ranges: bool = True
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested = self.headers.get("Range")
            server.ranges.append(requested)
            if server.status != 200:
                self.send_error(server.status)
                return
            start = int(requested[len("bytes=") : -1]) if requested and server.supports_ranges else 0
            if start >= len(server.content):
                self.send_error(416)
                return
            body = server.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: server.breaks_after])

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{running.server_port}/emulator.jar"
        yield server
        running.shutdown()


@pytest.fixture
def pinned(server: FileServer) -> PinnedDownload:
    return PinnedDownload(url=server.url, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


def test_fetch_downloads_once(server: FileServer, pinned: PinnedDownload, tmp_path: Path) -> None:
    notices: list[str] = []
    first = fetch(pinned, tmp_path / "new folder", notices.append)
    again = fetch(pinned, tmp_path / "new folder", notices.append)
    assert first == again
    assert first.read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert len(notices) == 1


def test_disk_has_a_download_before_its_final_name(
    server: FileServer, pinned: PinnedDownload, tmp_path: Path, file_steps: list[tuple[str, Path]]
) -> None:
    """A power failure must leave no empty file, which no later start would replace."""
    jar = fetch(pinned, tmp_path)
    renamed = file_steps.index(("rename", jar))
    assert ("sync", tmp_path / "emulator.jar.part") in file_steps[:renamed]


def test_concurrent_fetches_download_once(server: FileServer, pinned: PinnedDownload, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(pinned, tmp_path), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.ranges) == 1


def test_download_with_a_wrong_hash_is_rejected_and_deleted(
    server: FileServer, pinned: PinnedDownload, tmp_path: Path
) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadError, match="The SHA-256 of"):
        fetch(pinned, tmp_path)
    assert not list(tmp_path.glob("*.jar"))
    assert not list(tmp_path.glob("*.part"))
    server.content = CONTENT
    assert fetch(pinned, tmp_path).read_bytes() == CONTENT


def test_download_resumes_after_an_interruption(
    server: FileServer, pinned: PinnedDownload, tmp_path: Path
) -> None:
    server.breaks_after = 400_000
    with pytest.raises(DownloadError, match=r"interrupted after 400000 of 1280000 bytes"):
        fetch(pinned, tmp_path)
    assert not list(tmp_path.glob("*.jar"))
    server.breaks_after = None
    assert fetch(pinned, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-"]


def test_download_restarts_when_ranges_are_not_supported(
    server: FileServer, pinned: PinnedDownload, tmp_path: Path
) -> None:
    (tmp_path / "emulator.jar.part").write_bytes(CONTENT[:1000])
    server.supports_ranges = False
    assert fetch(pinned, tmp_path).read_bytes() == CONTENT


def test_partial_file_larger_than_the_source_is_discarded(
    server: FileServer, pinned: PinnedDownload, tmp_path: Path
) -> None:
    (tmp_path / "emulator.jar.part").write_bytes(CONTENT[:-10])
    server.content = CONTENT[:-20]
    with pytest.raises(DownloadError, match="416"):
        fetch(pinned, tmp_path)
    server.content = CONTENT
    assert fetch(pinned, tmp_path).read_bytes() == CONTENT


def test_download_error_contains_the_url_and_the_reason(
    server: FileServer, pinned: PinnedDownload, tmp_path: Path
) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match=r"emulator\.jar returned 404"):
        fetch(pinned, tmp_path)
    unreachable = replace(pinned, url=f"http://127.0.0.1:{free_port()}/emulator.jar")
    with pytest.raises(DownloadError, match=r"could not be downloaded \(.*refused\)"):
        fetch(unreachable, tmp_path)


def test_extract_jar_unpacks_the_archive_once(tmp_path: Path) -> None:
    archive = tmp_path / "emulator.zip"
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("pubsub-emulator/bin/run", "#!")
        writing.writestr("pubsub-emulator/lib/../../../evil-all.jar", CONTENT)
    jar = extract_jar(archive, tmp_path)
    assert jar == tmp_path / "evil-all.jar"
    assert jar.read_bytes() == CONTENT
    assert extract_jar(archive, tmp_path) == jar


def test_concurrent_extractions_unpack_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would truncate the unfinished file of the first."""
    archive = tmp_path / "emulator.zip"
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("emulator-all.jar", CONTENT)
    real_copy, real_lock = shutil.copyfileobj, fcntl.flock
    copies: list[str] = []
    second: list[Future[Path]] = []
    second_waits_or_copies = threading.Event()

    def copy(source: IO[bytes], sink: IO[bytes]) -> None:
        copies.append(sink.name)
        if len(copies) == 1:
            sink.write(source.read(1000))
            second.append(pool.submit(extract_jar, archive, tmp_path))
            assert second_waits_or_copies.wait(60)
        second_waits_or_copies.set()
        real_copy(source, sink)

    def lock(file: IO[bytes], operation: int) -> None:
        if copies:
            second_waits_or_copies.set()
        real_lock(file, operation)

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    monkeypatch.setattr(fcntl, "flock", lock)
    with ThreadPoolExecutor(2) as pool:
        jar = pool.submit(extract_jar, archive, tmp_path).result()
        assert second[0].result() == jar
    assert len(copies) == 1
    assert jar.read_bytes() == CONTENT


def test_extract_jar_rejects_an_archive_without_a_jar(tmp_path: Path) -> None:
    archive = tmp_path / "emulator.zip"
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("readme", "nothing")
    with pytest.raises(DownloadError, match="contains no"):
        extract_jar(archive, tmp_path)
