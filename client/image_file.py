"""ImageFile: a finished image with its bytes, and where it is written."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from client.image_record import ImageRecord, read_image_record
from client.task import StoredImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image of a task, whole: its SHA-256 was compared with what was stored."""

    task_id: str
    stored: StoredImage
    content: bytes = field(repr=False)

    @property
    def file_name(self) -> str:
        """A name that no other image has."""
        return f"darkroom-{self.task_id}-{self.stored.index}.{self.stored.extension}"

    @property
    def record(self) -> ImageRecord:
        """What the file says of itself. Raises NoImageRecordError for images that older versions have drawn."""
        return read_image_record(self.content)

    def save(self, directory: str | os.PathLike[str] = ".") -> Path:
        """Write it into a directory, which is made where it is missing. Whoever looks sees all of it or nothing."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".darkroom-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.content)
            # mkstemp lets nobody else read: give the file the rights that any new one has.
            mask = os.umask(0)
            os.umask(mask)
            Path(unfinished).chmod(0o666 & ~mask)
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        return path
