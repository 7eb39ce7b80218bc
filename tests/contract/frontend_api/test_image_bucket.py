"""The ImageBucket's contract, on the fake and on the local bucket server."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client as StorageClient

from common.domain.images import StoredImage, image_object_name, task_folder
from frontend_api.adapters.gcs_image_bucket import GcsImageBucket
from frontend_api.images.ports import ImageBucket, ImageGoneError
from local_stack.loopback import free_port
from tests.contract.outages import assert_each_raises_unavailable
from tests.emulators import Emulators
from tests.factories import NOW
from tests.fakes.in_memory_image_bucket import InMemoryImageBucket

BODY = bytes(range(256)) * 300


@dataclass
class Arranged:
    """A bucket, a function to store objects as workers do, and a bucket that is unreachable."""

    bucket: ImageBucket
    store: Callable[[str], None]
    broken: ImageBucket


def client(url: str) -> StorageClient:
    return StorageClient(
        project="demo-darkroom", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def arranged(request: pytest.FixtureRequest) -> Arranged:
    if request.param == "fake":
        fake, broken = InMemoryImageBucket(), InMemoryImageBucket()
        broken.unavailable = True
        return Arranged(fake, lambda name: fake.objects.__setitem__(name, BODY), broken)
    emulators: Emulators = request.getfixturevalue("emulators")
    name = emulators.names.images_bucket
    bucket = client(emulators.storage_url).bucket(name)

    def store(object_name: str) -> None:
        bucket.blob(object_name).upload_from_string(BODY, content_type="image/png")

    return Arranged(
        GcsImageBucket(client(emulators.storage_url), bucket=name),
        store,
        GcsImageBucket(client(f"http://127.0.0.1:{free_port()}"), bucket=name, timeout_seconds=1),
    )


def image_of(folder: str, *, attempt: int = 1) -> StoredImage:
    return StoredImage(
        index=0,
        object_name=image_object_name(folder, attempt=attempt, index=0, extension="png"),
        width=64,
        height=64,
        seed=1,
        content_type="image/png",
        size_bytes=len(BODY),
        sha256="0" * 64,
    )


@pytest.fixture
def image() -> StoredImage:
    return image_of(task_folder(uuid.uuid4().hex, NOW))


def test_stored_image_is_read_completely(arranged: Arranged, image: StoredImage) -> None:
    arranged.store(image.object_name)
    assert arranged.bucket.read(image) == BODY


def test_missing_image_raises(arranged: Arranged, image: StoredImage) -> None:
    with pytest.raises(ImageGoneError):
        arranged.bucket.read(image)


def test_removal_deletes_all_objects_of_one_task_only(arranged: Arranged) -> None:
    task_id = uuid.uuid4().hex
    folder = task_folder(task_id, NOW)
    mine = [image_of(folder, attempt=1), image_of(folder, attempt=2)]
    mine.append(replace(mine[0], object_name=f"{folder}checkpoints/0.safetensors"))
    # One id starts with the other one, which a wrong prefix would match. The other objects have the
    # same id, submitted again.
    others = [
        image_of(task_folder(f"{task_id}0", NOW)),
        image_of(task_folder(task_id, NOW + timedelta(microseconds=1))),
    ]
    for image in (*mine, *others):
        arranged.store(image.object_name)
    for _ in range(2):
        arranged.bucket.remove_folder(folder)
    for image in mine:
        with pytest.raises(ImageGoneError):
            arranged.bucket.read(image)
    for image in others:
        assert arranged.bucket.read(image) == BODY


def test_bucket_raises_when_unreachable(arranged: Arranged, image: StoredImage) -> None:
    assert_each_raises_unavailable(
        lambda: arranged.broken.read(image), lambda: arranged.broken.remove_folder("x")
    )
