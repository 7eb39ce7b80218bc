"""Verification of an image: generate it again from its record and compare the two."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from PIL import Image, ImageChops

from darkroom.calls import Calls
from darkroom.errors import NoImageRecordError
from darkroom.image_files import ImageFile, ImageRecord, RecordedImage
from darkroom.models.provenance import Provenance
from darkroom.models.record import Record
from darkroom.models.task import GenerationParameters
from darkroom.resources.generation import accepted, generate
from darkroom.sansio import Operation
from darkroom.submission import SubmissionFields, idempotency_key_or_new

_LARGEST = 255
_WITHOUT_EFFECT = {"attempt", "pixels_sha256", "decoded_sha256", "resumes", "started_over_because"}
"""Parts of a provenance that do not affect the pixels: a resumed run computes the same result."""


class Difference(Record):
    """How far two images differ."""

    largest: tuple[int, int, int]
    """The largest difference of any pixel, per channel: red, green, blue, 0 to 255."""
    share_of_pixels: float
    """Share of the pixels that differ in any channel, 0 to 1."""
    psnr_db: float | None
    """Peak signal-to-noise ratio; None for identical images."""


class RecordDifference(Record):
    """A difference between the two records; None if the record lacks the field."""

    field: str
    file: Any
    again: Any


class Verification(Record):
    """Comparison of an image with the image generated again."""

    bit_equal: bool
    """Compares the generated pixels, before any compression."""
    difference: Difference
    """Difference of the decoded pixels of the two files."""
    record_differences: tuple[RecordDifference, ...]
    """Possible causes of a difference."""
    task_id: str
    """The task that generated the image again."""


def submission_of(record: ImageRecord) -> tuple[str, SubmissionFields]:
    """Return prompt and fields of a task that generates this one image again."""
    fields = record.parameters.model_dump(
        include=set(GenerationParameters.model_fields), exclude={"prompt"}, exclude_unset=True
    )
    return record.parameters.prompt, cast("SubmissionFields", {**fields, "num_images": 1})


def verify(
    calls: Calls,
    original: RecordedImage,
    *,
    idempotency_key: str | None,
    timeout_seconds: float | None,
) -> Operation[Verification]:
    """Generate the image again on any worker that serves its model.

    Raises the errors of `generate`.
    """
    prompt, fields = submission_of(original.record)
    key = idempotency_key_or_new(idempotency_key)
    result = yield from generate(calls, prompt, fields, idempotency_key=key, timeout_seconds=timeout_seconds)
    with accepted(result.task, key):
        return compare(original, image_again(result.images))


def image_again(images: Sequence[ImageFile]) -> RecordedImage:
    """Return the image of the task that generated it again. Raises NoImageRecordError."""
    if not images:
        raise NoImageRecordError("the task that generates the image again")
    return RecordedImage.read(images[0].content)


def compare(original: RecordedImage, again: RecordedImage) -> Verification:
    """Compare the pixels and the records of two images."""
    one, other = original.record.provenance, again.record.provenance
    return Verification(
        bit_equal=one.pixels_sha256 == other.pixels_sha256,
        difference=_difference(_rgb_image(original), _rgb_image(again)),
        record_differences=tuple(_record_differences(original.record, again.record)),
        task_id=again.record.task_id,
    )


def _rgb_image(image: RecordedImage) -> Image.Image:
    return Image.frombytes("RGB", image.size, image.pixels)


def _difference(one: Image.Image, other: Image.Image) -> Difference:
    """Compare two RGB images; images of different sizes differ entirely."""
    if one.size != other.size:
        return Difference(largest=(_LARGEST,) * 3, share_of_pixels=1.0, psnr_db=0.0)
    channels = ImageChops.difference(one, other).split()
    counts = [channel.histogram() for channel in channels]  # histogram of the differences, by channel
    red, green, blue = (max(value for value, pixels in enumerate(each) if pixels) for each in counts)
    worst = ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2])
    total = one.width * one.height
    squares = sum(pixels * value**2 for each in counts for value, pixels in enumerate(each))
    return Difference(
        largest=(red, green, blue),
        share_of_pixels=1 - worst.histogram()[0] / total,
        psnr_db=None if squares == 0 else 10 * math.log10(_LARGEST**2 * 3 * total / squares),
    )


def _record_differences(file: ImageRecord, again: ImageRecord) -> Iterator[RecordDifference]:
    """Yield the differences of the parameters, then those of the provenance."""
    asked = [record.parameters.model_dump(mode="json") for record in (file, again)]
    made = [dict(sorted(_facts(record.provenance))) for record in (file, again)]
    for (one, other), names in ((asked, list(asked[0])), (made, sorted(made[0].keys() | made[1].keys()))):
        for name in names:
            if one.get(name) != other.get(name):
                yield RecordDifference(field=name, file=one.get(name), again=other.get(name))


def _facts(provenance: Provenance) -> Iterator[tuple[str, Any]]:
    """Yield everything that may affect pixels, with its path."""
    yield from _leaves(provenance.model_dump(mode="json", exclude=_WITHOUT_EFFECT), "")
    devices = [resume.before.device for resume in provenance.resumes if resume.before is not None]
    if devices:
        yield "earlier_devices", devices


def _leaves(branch: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in branch.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        elif value is not None:
            yield f"{path}{name}", value
