"""Generate an image again on this machine, from the record in its file, and write it into another file.

The command needs only the model catalog and calls no server. If it fails, it prints the reason and
exits with 1. `darkroom verify IMAGE --against AGAIN` compares the two files.
"""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from common.domain.errors import UnknownModelError
from common.settings import SettingsError
from gpu_subscriber.engine.errors import EngineError, ModelUnavailableError
from gpu_subscriber.engine.reproduce import generate_like, load_like
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.encoding import encode_image, read_record, recorded
from gpu_subscriber.settings import WorkerSettings


def main() -> int:
    """Generate the image again; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpu_subscriber.reproduce", description=__doc__)
    parser.add_argument("image", type=Path, help="an image file that darkroom generated")
    parser.add_argument("again", type=Path, help="the file to write, in the same format")
    asked = parser.parse_args()
    try:
        asked.again.write_bytes(_generated_again(asked.image.read_bytes()))
        return 0
    except ModelUnavailableError as error:
        message = f"{error.failure.message} {error.reason}"
    except EngineError as error:
        message = error.failure.message
    except (UnreadableImageError, UnknownModelError, SettingsError, ValidationError, OSError) as error:
        message = str(error)
    print(f"reproduce: {message}", file=sys.stderr)  # noqa: T201 (a command writes to its terminal)
    return 1


def _generated_again(data: bytes) -> bytes:
    record = read_record(data)
    spec = WorkerSettings().load_catalog().get(record.parameters.model)
    family = load_like(spec, record.provenance.environment)
    pixels, draw_conditions = generate_like(family, record.parameters, record.provenance)
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


if __name__ == "__main__":
    sys.exit(main())
