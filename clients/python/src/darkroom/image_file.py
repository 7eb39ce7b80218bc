"""A finished image with its bytes, and how it is saved."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.image_record import ImageRecord, read_image_record
from darkroom.models.task import StoredImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image of a task; its SHA-256 was verified."""

    task_id: str
    stored: StoredImage
    content: bytes = field(repr=False)

    @property
    def file_name(self) -> str:
        """A unique file name."""
        return f"darkroom-{self.task_id}-{self.stored.index}.{self.stored.extension}"

    @property
    def record(self) -> ImageRecord:
        """The record in the file. Raises NoImageRecordError for images of older versions."""
        return read_image_record(self.content)

    def save(self, directory: str | os.PathLike[str] = ".") -> Path:
        """Write the image into a directory, which is created if missing. The write is atomic."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".darkroom-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.content)
            # mkstemp creates files with mode 0600: set the mode of an ordinary new file.
            mask = os.umask(0)
            os.umask(mask)
            Path(unfinished).chmod(0o666 & ~mask)
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        return path
