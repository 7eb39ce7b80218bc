"""ImageRecord: what an image file says of itself, as JSON inside the file. A contract: other programs read it.

ASCII only, so that every container can hold it. Readers accept unknown fields and any 1.x version.
"""

import json

from pydantic import BaseModel, ConfigDict, ValidationError

from common.domain.parameters import GenerationParameters
from common.domain.provenance import Provenance
from common.wire_formats.decoding import first_complaint, read_object
from common.wire_formats.versions import UndecodableError

VERSION = "1.0"


class ImageRecord(BaseModel):
    """Enough to draw this one image again, alone, and to tell whether it is the same. The owner is not named."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str = VERSION
    task_id: str
    index: int
    """Which of the task's images."""
    parameters: GenerationParameters
    """Of a task that would be this image alone: the seed is the image's own."""
    provenance: Provenance


def encode_image_record(record: ImageRecord) -> str:
    """The record as a file holds it; the same record, the same text."""
    return json.dumps(record.model_dump(mode="json"), separators=(",", ":"), sort_keys=True)


def decode_image_record(text: str | bytes) -> ImageRecord:
    """Read a record. Raises UndecodableError, or its kind UnsupportedVersionError for a 2.x."""
    raw = read_object(text, called="the record")
    try:
        return ImageRecord.model_validate(raw)
    except ValidationError as exc:
        raise UndecodableError(first_complaint(exc)) from exc
