"""The InputReader's contract, on the fake and on the local bucket server."""

from collections.abc import Callable

import pytest

from gpu_subscriber.adapters.gcs_input_reader import GcsInputReader
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.ports import InputReader
from tests.fakes.in_memory_objects import InMemoryInputReader
from tests.fakes.own_resources import OwnResources

NAME = "inputs/owner/picture"


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def reader_of(request: pytest.FixtureRequest) -> Callable[[bytes], InputReader]:
    """Return a reader of a bucket that contains one object."""

    def made(content: bytes) -> InputReader:
        if request.param == "fake":
            fake = InMemoryInputReader()
            fake.objects[NAME] = content
            return fake
        bucket = OwnResources(request.getfixturevalue("emulators")).bucket
        bucket.blob(NAME).upload_from_string(content)
        return GcsInputReader(bucket)

    return made


def test_read_returns_the_content(reader_of: Callable[[bytes], InputReader]) -> None:
    assert reader_of(b"picture").read(NAME, max_bytes=7) == b"picture"


def test_read_returns_none_for_a_deleted_object(reader_of: Callable[[bytes], InputReader]) -> None:
    assert reader_of(b"picture").read("inputs/owner/other", max_bytes=7) is None


def test_read_refuses_a_larger_object(reader_of: Callable[[bytes], InputReader]) -> None:
    with pytest.raises(UnreadableImageError, match="larger than 6 bytes"):
        reader_of(b"picture").read(NAME, max_bytes=6)
