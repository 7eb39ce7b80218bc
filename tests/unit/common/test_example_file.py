"""The example picture of a catalog entry."""

import hashlib
import json
from pathlib import Path

import pytest

from common.catalog_file import CatalogEntryError, parse_catalog
from common.domain.models.catalog import DEMO_MODEL
from common.domain.models.model_files import ModelExample
from common.model_files.example_file import MAX_EXAMPLE_BYTES, read_example
from tests.pictures import picture, png
from tests.unit.common.test_lora_files import ENTRY

_WEIGHTS = Path(__file__).parents[3] / "gpu_subscriber" / "demo_model" / "weights"


def parse(folder: Path, file: str = "fox.png") -> ModelExample:
    entry = {**ENTRY, "example": {"file": file, "prompt": "a fox"}}
    example = parse_catalog(json.dumps({"models": [entry]}).encode(), beside=folder).default.example
    assert example is not None
    return example


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP"])
def test_example_beside_the_catalog_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "fox.png").write_bytes(picture(kind))
    read = read_example(parse(tmp_path))
    assert read is not None
    assert (read.media_type, read.data) == (f"image/{kind.lower()}", picture(kind))


def test_example_that_is_not_readable_here_is_accepted(tmp_path: Path) -> None:
    example = parse(tmp_path, "/elsewhere/fox.png")
    assert example.file == "/elsewhere/fox.png"
    assert read_example(example) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[Unit]", "must be a PNG, JPEG or WebP$"),
        (picture("GIF"), r"must be a PNG, JPEG or WebP \(got GIF\)$"),
        (picture("WebP", frames=2), "is animated"),
        (png() + bytes(MAX_EXAMPLE_BYTES), "must have at most 256000 bytes"),
    ],
)
def test_file_that_is_no_small_picture_is_a_catalog_problem(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "fox.png").write_bytes(content)
    with pytest.raises(CatalogEntryError, match=rf"models/0: `example/file`: .*{reason}"):
        parse(tmp_path)


def test_demo_example_was_generated_by_the_demo_model() -> None:
    example = DEMO_MODEL.example
    assert example is not None
    read = read_example(example)
    assert read is not None
    start = read.data.index(b"darkroom:record='") + len("darkroom:record='")
    record = json.loads(read.data[start : read.data.index(b"'", start)])
    assert record["parameters"]["model"] == DEMO_MODEL.name
    assert record["parameters"]["prompt"] == example.prompt
    weights = {
        name: hashlib.sha256((_WEIGHTS / name).read_bytes()).hexdigest()
        for name in record["provenance"]["weights"]
    }
    assert weights == record["provenance"]["weights"]
