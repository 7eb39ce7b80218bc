"""Generate an image again on this machine, from the record in its file, and write it into another file.

The command needs only the model catalog and calls no server. If it fails, it prints the reason and
exits with 1. `darkroom verify IMAGE --against AGAIN` compares the two files.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from common.domain.errors import UnknownModelError
from common.settings import SettingsError
from gpu_subscriber.engine.errors import EngineError, ModelUnavailableError
from gpu_subscriber.engine.reproduce import generate_like, load_like
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.encoding import encode_image, read_record, recorded
from gpu_subscriber.images.inputs import decoded_inputs
from gpu_subscriber.settings import WorkerSettings
from gpu_subscriber.terminal import report

_OPTIONS = {
    "image": "--input",
    "mask_image": "--mask",
    "control_image": "--control",
    "reference_image": "--reference",
}
"""The options for the files of the parameters."""


def main() -> int:
    """Generate the image again; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpu_subscriber.reproduce", description=__doc__)
    parser.add_argument("image", type=Path, help="an image file that darkroom generated")
    parser.add_argument("again", type=Path, help="the file to write, in the same format")
    parser.add_argument("--input", type=Path, help="the picture that the image was generated from")
    parser.add_argument("--mask", type=Path, help="the mask with which it was generated")
    parser.add_argument("--control", type=Path, help="the control image that steered it")
    parser.add_argument("--reference", type=Path, help="the reference picture that it followed")
    asked = parser.parse_args()
    files = {name: getattr(asked, option.removeprefix("--")) for name, option in _OPTIONS.items()}
    try:
        asked.again.write_bytes(_generated_again(asked.image.read_bytes(), files))
        return 0
    except ModelUnavailableError as error:
        message = f"{error.failure.message} {error.reason}"
    except EngineError as error:
        message = error.failure.message
    except (UnreadableImageError, UnknownModelError, SettingsError, ValidationError, OSError) as error:
        message = str(error)
    report(f"reproduce: {message}")
    return 1


def _generated_again(data: bytes, files: Mapping[str, Path | None]) -> bytes:
    record, settings = read_record(data), WorkerSettings()

    def read(name: str, picture_id: str) -> bytes:
        return _input_file(files.get(name), picture_id, option=_OPTIONS[name])

    inputs = decoded_inputs(record.parameters, read, max_pixels=settings.max_input_pixels)
    spec = settings.load_catalog().get(record.parameters.model)
    family = load_like(spec, record.provenance.environment)
    pixels, draw_conditions = generate_like(family, record.parameters, record.provenance, inputs)
    size = (record.parameters.width, record.parameters.height)
    again = recorded(
        pixels,
        size,
        record.parameters,
        draw_conditions,
        task_id=record.task_id,
        index=record.index,
        attempt=0,
    )
    return encode_image(pixels, size, again)


def _input_file(file: Path | None, picture_id: str, *, option: str) -> bytes:
    """Return the bytes of an input; raises UnreadableImageError if they are not those recorded."""
    if file is None:
        raise UnreadableImageError(
            f"the image was generated from a picture with the SHA-256 {picture_id}; add {option} FILE"
        )
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != picture_id:
        raise UnreadableImageError(f"{file} is another picture than the one with the SHA-256 {picture_id}")
    return data


if __name__ == "__main__":
    sys.exit(main())
