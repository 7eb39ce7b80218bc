"""The record of an image, as JSON inside the file. A contract: other programs read it.

ASCII only, so that every container format can hold it. Readers accept unknown fields and any 1.x
version.
"""

import json

from pydantic import BaseModel, ConfigDict, ValidationError

from common.domain.parameters import GenerationParameters
from common.domain.provenance import Provenance
from common.wire_formats.decoding import first_complaint, read_object
from common.wire_formats.versions import UndecodableError

VERSION = "1.0"


class ImageRecord(BaseModel):
    """Everything needed to generate this one image again and compare it. The owner is not included."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str = VERSION
    task_id: str
    index: int
    """The index of the image in its task."""
    parameters: GenerationParameters
    """Parameters of a task with this image only: the seed is the image's own."""
    provenance: Provenance


def encode_image_record(record: ImageRecord) -> str:
    """Encode a record as JSON. The output is deterministic."""
    return json.dumps(record.model_dump(mode="json"), separators=(",", ":"), sort_keys=True)


def decode_image_record(text: str | bytes) -> ImageRecord:
    """Parse a record. Raises UndecodableError, or its subclass UnsupportedVersionError for a 2.x."""
    raw = read_object(text, called="the record")
    try:
        return ImageRecord.model_validate(raw)
    except ValidationError as exc:
        raise UndecodableError(first_complaint(exc)) from exc
