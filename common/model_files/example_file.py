"""The example picture of a catalog entry: which files are accepted, and their content."""

from dataclasses import dataclass
from pathlib import Path

from common.domain.models.model_files import EMBEDDED_PREFIX, ModelExample
from common.model_files.weights import UnservableModelError
from common.picture_header import PictureRefusedError, read_header

MAX_EXAMPLE_BYTES = 256_000
"""The page loads the examples of all models at once."""
_EMBEDDED_FOLDER = Path(__file__).parent / "examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplePicture:
    media_type: str
    data: bytes


def read_example(example: ModelExample) -> ExamplePicture | None:
    """Read an example; None if its file is not readable here. Raises UnservableModelError."""
    name = example.file.removeprefix(EMBEDDED_PREFIX)
    file = Path(name) if name == example.file else _EMBEDDED_FOLDER / f"{name}.webp"
    try:
        with file.open("rb") as content:
            data = content.read(MAX_EXAMPLE_BYTES + 1)
    except OSError:
        return None
    if len(data) > MAX_EXAMPLE_BYTES:
        raise UnservableModelError(f"{file} must have at most {MAX_EXAMPLE_BYTES} bytes; make it smaller")
    try:
        return ExamplePicture(media_type=read_header(data).media_type, data=data)
    except PictureRefusedError as error:
        raise UnservableModelError(f"{file}: {error}") from error
