"""StoredInput: a picture that a caller uploaded, and the limits on such pictures."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.picture_header import PictureHeader, PictureTooLargeError


class InputNotFoundError(DomainError):
    """The caller has no such input, or it has expired."""

    code = "input_not_found"

    def __init__(self, input_id: str) -> None:
        super().__init__(f"no input {input_id[:64]!r}")


class UploadNotFoundError(DomainError):
    """The caller has no upload with this id whose file has arrived completely."""

    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"the file of the upload {upload_id[:64]!r} has not arrived, or has expired")


class InputInUseError(DomainError):
    """A task uses the input."""

    code = "input_in_use"

    def __init__(self) -> None:
        super().__init__("a task uses this input, which is deleted together with its last task")


class TooManyInputsError(DomainError):
    """The caller's inputs occupy too much storage."""

    code = "too_many_inputs"

    def __init__(self, most: int, *, counts_started: bool) -> None:
        counted = "inputs and started uploads" if counts_started else "inputs"
        super().__init__(
            f"all your {counted} together may have {most:,} bytes; delete inputs, or tasks that use them"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInput:
    """A picture in the bucket. `id` is the SHA-256 of its bytes."""

    id: str
    object_name: str
    content_type: str
    size_bytes: int
    width: int
    height: int
    created_at: datetime
    expires_at: datetime
    is_kept: bool = False
    """Whether tasks use it or used it last time; see `InputStore.keep`."""
    revision: str = field(default="", compare=False)
    """What conditional changes compare; set by the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLimits:
    bytes_each: int
    side: int
    """Pixels of the longer side."""
    pixels: int
    bytes_per_owner: int
    """All inputs of one caller together; 0 means no limit."""
    unused_for: timedelta
    """How long an input that no task uses is kept."""

    def check(self, header: PictureHeader) -> None:
        """Raise PictureTooLargeError, whose message names the limit."""
        if max(header.width, header.height) > self.side:
            limit = f"each side may have {self.side:,} pixels"
        elif header.width * header.height > self.pixels:
            limit = f"a picture may have {self.pixels:,} pixels"
        else:
            return
        raise PictureTooLargeError(f"the picture has {header.width} × {header.height} pixels; {limit}")
