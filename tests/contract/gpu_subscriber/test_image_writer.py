"""The ImageWriter's contract, on the fake and on the local bucket server."""

import pytest

from common.domain.images import image_object_name
from gpu_subscriber.adapters.gcs_image_writer import GcsImageWriter
from gpu_subscriber.errors import ObjectConflictError
from gpu_subscriber.ports import ImageWriter
from tests.fakes.in_memory_objects import InMemoryImageWriter
from tests.fakes.own_resources import OwnResources

FOLDER = "tasks/task-1/20260101T120000.000000Z/"
NAME = f"{FOLDER}attempt-1/0.png"
METADATA = {"task_id": "task-1", "sha256": "0"}


class Written:
    """A writer, and a function that reads what it wrote."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.resources: OwnResources | None = None
        if request.param == "fake":
            self.fake = InMemoryImageWriter()
            self.writer: ImageWriter = self.fake
        else:
            self.resources = OwnResources(request.getfixturevalue("emulators"))
            self.writer = GcsImageWriter(self.resources.bucket)

    def write(self, data: bytes, name: str = NAME) -> None:
        self.writer.write(name, data, content_type="image/png", metadata=METADATA)

    def read(self, name: str = NAME) -> bytes:
        if self.resources is None:
            return self.fake.objects[name]
        return bytes(self.resources.bucket.blob(name).download_as_bytes())

    def names(self) -> set[str]:
        if self.resources is None:
            return set(self.fake.objects)
        return {blob.name for blob in self.resources.bucket.list_blobs()}


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def written(request: pytest.FixtureRequest) -> Written:
    return Written(request)


def test_writer_stores_the_whole_object(written: Written) -> None:
    data = bytes(range(256)) * 2_000
    written.write(data)
    assert written.read() == data


def test_writer_accepts_the_same_bytes_again(written: Written) -> None:
    written.write(b"picture")
    written.write(b"picture")
    assert written.read() == b"picture"


@pytest.mark.parametrize("other", [b"another picture", b"pictura"])
def test_writer_rejects_other_bytes_under_a_used_name(written: Written, other: bytes) -> None:
    written.write(b"picture")
    with pytest.raises(ObjectConflictError):
        written.write(other)
    assert written.read() == b"picture"


def test_writer_keeps_objects_of_other_names(written: Written) -> None:
    written.write(b"first")
    written.write(b"second", f"{FOLDER}attempt-2/0.png")
    assert (written.read(), written.read(f"{FOLDER}attempt-2/0.png")) == (b"first", b"second")


def image(attempt: int, index: int = 0, *, folder: str = FOLDER) -> str:
    return image_object_name(folder, attempt=attempt, index=index, extension="png")


def test_remove_attempts_removes_only_earlier_attempts(written: Written) -> None:
    gone = [image(1), image(1, 1), image(2)]
    kept = [
        image(2, 1),  # the task refers to it
        image(3),
        image(11),
        image(1, folder=FOLDER.replace("2026", "2027")),
        f"{FOLDER}checkpoints/0.safetensors",
    ]
    for name in (*gone, *kept):
        written.write(b"picture", name)
    assert written.writer.remove_attempts(FOLDER, up_to=2, keep={image(2, 1)}) == 3
    assert written.names() == set(kept)


def test_remove_attempts_accepts_an_empty_folder(written: Written) -> None:
    assert written.writer.remove_attempts(FOLDER, up_to=5) == 0
