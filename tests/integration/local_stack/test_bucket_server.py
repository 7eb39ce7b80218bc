"""The bucket server with Google's own client, over real connections."""

import os
import socket
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import pytest
from google.api_core import exceptions
from google.cloud import storage

from tests.emulators import Emulators

pytestmark = pytest.mark.emulator


@pytest.fixture
def client(emulators: Emulators) -> Iterator[storage.Client]:
    with closing(storage.Client(project=emulators.names.project_id)) as client:
        yield client


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.create_bucket(f"test-{uuid.uuid4().hex}")


def test_bucket_of_the_stack_exists(client: storage.Client, emulators: Emulators) -> None:
    assert client.bucket(emulators.names.images_bucket).exists()
    assert not client.bucket("no-such-bucket").exists()


def test_upload_round_trips_with_its_metadata(bucket: storage.Bucket) -> None:
    blob = bucket.blob("tasks/ä b/attempt-1/0.png")
    blob.metadata, blob.cache_control = {"seed": "7"}, "private, max-age=60"
    blob.upload_from_string(b"\x89PNG" * 100, content_type="image/png", if_generation_match=0)
    found = bucket.get_blob(blob.name)
    assert found is not None
    assert found.download_as_bytes() == b"\x89PNG" * 100
    assert (found.content_type, found.metadata, found.cache_control) == (
        "image/png",
        {"seed": "7"},
        "private, max-age=60",
    )
    assert (found.size, found.crc32c, found.generation) == (400, blob.crc32c, blob.generation)


def test_upload_does_not_overwrite_with_a_precondition(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string(b"first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string(b"second", if_generation_match=0)
    assert bucket.blob("a").download_as_bytes() == b"first"


def test_one_of_many_concurrent_uploads_succeeds(bucket: storage.Bucket) -> None:
    def try_to_write(number: int) -> int | None:
        try:
            bucket.blob("prize").upload_from_string(str(number), if_generation_match=0)
        except exceptions.PreconditionFailed:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(try_to_write, range(8)) if number is not None]
    assert len(winners) == 1
    assert bucket.blob("prize").download_as_text() == str(winners[0])


@pytest.mark.parametrize("chunk_size", [None, 1 << 20])
def test_large_object_is_uploaded_in_chunks(bucket: storage.Bucket, chunk_size: int | None) -> None:
    content = os.urandom((9 << 20) + 17)
    bucket.blob("large", chunk_size=chunk_size).upload_from_string(content, if_generation_match=0)
    assert bucket.blob("large").download_as_bytes() == content
    assert bucket.blob("large").download_as_bytes(start=5, end=9) == content[5:10]
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("large", chunk_size=chunk_size).upload_from_string(content, if_generation_match=0)


def test_objects_are_listed_and_deleted(client: storage.Client, bucket: storage.Bucket) -> None:
    for name in ("tasks/1/a", "tasks/1/b", "tasks/2/a", "other"):
        bucket.blob(name).upload_from_string(b"x")
    assert [blob.name for blob in bucket.list_blobs(prefix="tasks/1/")] == ["tasks/1/a", "tasks/1/b"]
    assert len(list(client.list_blobs(bucket, page_size=1))) == 4
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.delete_blob("other", if_generation_match=1)
    bucket.delete_blobs(list(bucket.list_blobs()))
    assert list(bucket.list_blobs()) == []
    with pytest.raises(exceptions.NotFound):
        bucket.blob("other").delete()


def test_signed_link_works_in_a_page(bucket: storage.Bucket, emulators: Emulators) -> None:
    bucket.blob("a b/0.png").upload_from_string(b"pixels", content_type="image/png")
    url = f"{emulators.storage_url}/{bucket.name}/a%20b/0.png"
    page = {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-site"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=page)) as response:
        assert response.read() == b"pixels"
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:8080"


def test_idle_connections_do_not_block_others(bucket: storage.Bucket, emulators: Emulators) -> None:
    """Browsers open connections in advance and leave them idle."""
    address = urlsplit(emulators.storage_url)
    with ExitStack() as connections:
        for _ in range(80):
            connections.enter_context(socket.create_connection((address.hostname, address.port or 0)))
        bucket.blob("a").upload_from_string(b"x", timeout=60)
        assert bucket.blob("a").download_as_bytes(timeout=60) == b"x"


def test_concurrent_clients_read_their_own_writes(bucket: storage.Bucket) -> None:
    def write_and_read(number: int) -> bool:
        content = os.urandom(50_000)
        bucket.blob(f"object-{number}").upload_from_string(content, if_generation_match=0)
        return bucket.blob(f"object-{number}").download_as_bytes() == content

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write_and_read, range(40)))
