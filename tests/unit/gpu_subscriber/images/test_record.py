"""The record inside an image file, as other programs read it. A change here is a change of contract."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.domain.provenance import Provenance, Resume
from common.wire_formats.versions import UndecodableError, UnsupportedVersionError
from gpu_subscriber.images.record import ImageRecord, decode_image_record, encode_image_record
from tests.factories import draw_conditions, environment, parameters

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "image_record.json").read_text())


def full_record() -> ImageRecord:
    elsewhere = environment(device="NVIDIA L4", capability="8.9", threads=None)
    drawn = draw_conditions(
        revision="f06ba9a1",
        resumes=(Resume(step=7, before=elsewhere), Resume(step=12)),
        batches=(1,) * 7 + (3,) * 13,
        decoded_in_tiles=True,
    )
    provenance = Provenance(**dict(drawn), attempt=2, pixels_sha256="ab" * 32, decoded_sha256="cd" * 32)
    own = parameters(num_images=3).of_image(1)
    return ImageRecord(task_id="task-1", index=1, parameters=own, provenance=provenance)


def test_image_record_equals_the_golden_file() -> None:
    assert json.loads(encode_image_record(full_record())) == GOLDEN


def test_image_record_survives_the_round_trip() -> None:
    assert decode_image_record(encode_image_record(full_record())) == full_record()


def test_unknown_fields_are_ignored() -> None:
    provenance = GOLDEN["provenance"]
    future = {
        **GOLDEN,
        "version": "1.9",
        "mood": "good",
        "provenance": {**provenance, "moon": "full", "environment": {**provenance["environment"], "heat": 2}},
    }
    assert decode_image_record(json.dumps(future)) == full_record().model_copy(update={"version": "1.9"})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": "2.0"}, UnsupportedVersionError),
        ({"version": 1}, UndecodableError),
        ({"parameters": None}, UndecodableError),
        ({"provenance": {}}, UndecodableError),
    ],
)
def test_invalid_record_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_image_record(json.dumps(GOLDEN | changes))
