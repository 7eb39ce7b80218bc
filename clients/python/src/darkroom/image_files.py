"""Image files: how they are saved, and the records in them."""

import hashlib
import io
import os
import struct
import uuid
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote
from xml.sax.saxutils import unescape

from PIL import Image
from typing_extensions import Self

from darkroom.errors import EditedImageError, NoImageRecordError
from darkroom.models.provenance import Provenance
from darkroom.models.record import Record
from darkroom.models.task import GenerationParameters, StoredImage

ImageSource: TypeAlias = bytes | str | os.PathLike[str]
"""The bytes of an image file, or its path."""
_MAJOR_VERSION = "1"
_XMP_ATTRIBUTE = "darkroom:record"
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
"""The only formats that are decoded or shown: decoders of others may run programs."""
UNREADABLE = (
    OSError, EOFError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's decoders of these formats raise for damaged files."""


class ImageRecord(Record):
    """How an image was generated.

    A record is not signed: only generating the image again proves it.
    """

    version: str
    task_id: str
    index: int
    parameters: GenerationParameters
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image of a task; its SHA-256 was verified."""

    task_id: str
    stored: StoredImage
    content: bytes = field(repr=False)

    @property
    def file_name(self) -> str:
        """A unique file name, and never a path, whatever id the server sent."""
        return f"darkroom-{quote(self.task_id, safe='')}-{self.stored.index}.{self.stored.extension}"

    @property
    def record(self) -> ImageRecord:
        """The record in the file. Raises NoImageRecordError for images of older versions."""
        return read_image_record(self.content)

    def save(self, directory: str | os.PathLike[str] = ".") -> Path:
        """Write the image into a directory, which is created if missing. The write is atomic."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        # tempfile creates files with mode 0600; this one gets the mode of an ordinary new file.
        unfinished = folder / f".darkroom-{uuid.uuid4().hex}"
        try:
            with unfinished.open("xb") as file:
                file.write(self.content)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedImage:
    """An image file: its record and its decoded `pixels` (RGB, row by row)."""

    name: str
    record: ImageRecord
    size: tuple[int, int]
    pixels: bytes = field(repr=False)

    @classmethod
    def read(cls, source: ImageSource) -> Self:
        """Read an image file. Raises NoImageRecordError, and OSError if the file does not exist."""
        name, data = (
            ("the image", source) if isinstance(source, bytes) else (str(source), Path(source).read_bytes())
        )
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                image.load()  # a PNG's text chunk may follow its pixels
                record = _record_in(image)
                pixels = image.convert("RGB").tobytes()
                return cls(name=name, record=record, size=image.size, pixels=pixels)
        except UNREADABLE as error:
            raise NoImageRecordError(name) from error

    @classmethod
    def read_unedited(cls, source: ImageSource) -> Self:
        """Read an image file like `read`; also raises EditedImageError."""
        image = cls.read(source)
        if image.is_edited:
            raise EditedImageError(image.name)
        return image

    @property
    def is_edited(self) -> bool:
        """Whether its pixels differ from those that darkroom wrote."""
        size = self.record.parameters.width, self.record.parameters.height
        digest = hashlib.sha256(self.pixels).hexdigest()
        return size != self.size or digest != self.record.provenance.decoded_sha256


def format_of(content: bytes) -> str | None:
    """Return which of FORMATS an image file begins as; None for any other file."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            found: str | None = image.format
            return found
    except UNREADABLE:
        return None


def read_image_record(source: ImageSource) -> ImageRecord:
    """Read the record of an image file, edited or not. Raises NoImageRecordError."""
    return RecordedImage.read(source).record


def _record_in(image: Image.Image) -> ImageRecord:
    """Read the record of an opened image. Raises ValueError (or its subclass ValidationError)."""
    record = ImageRecord.model_validate_json(
        image.info.get("darkroom") or _from_xmp(image.info.get("xmp", b""))
    )
    if record.version.partition(".")[0] != _MAJOR_VERSION:
        raise ValueError("written by a newer darkroom")
    return record


def _from_xmp(packet: bytes | str) -> str:
    """Extract the record's JSON from darkroom's XMP packet.

    It uses no XML parser, because the bytes are untrusted.
    """
    text = packet if isinstance(packet, str) else packet.decode("utf-8", "replace")
    _, _, rest = text.partition(f"{_XMP_ATTRIBUTE}=")
    value, _, _ = rest[1:].partition(rest[:1] or "'")
    return unescape(value, {"&quot;": '"', "&#10;": "\n", "&#13;": "\r", "&#9;": "\t"})
