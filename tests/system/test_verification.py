"""Images are generated again from their own files, by the command and by the library, against the
whole system.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom import Client
from darkroom.cli.exit_codes import ExitCode
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
ALONE = {"width": 192, "height": 128}
"""A size that no other test uses, so that no other task shares a step."""


def test_image_is_verified_from_its_file(system: System, tmp_path: Path) -> None:
    with Client(system.stack.page_url) as darkroom:
        generation = darkroom.generate("a large red circle", steps=4, seed=7, **ALONE)  # type: ignore[arg-type]
        (image,) = generation.images
        assert image.record.provenance == image.stored.provenance
        compressed = darkroom.generate("a red circle", steps=2, output_format="avif", **ALONE)  # type: ignore[arg-type]
        assert darkroom.verify(compressed.images[0].content).bit_equal
    file = image.save(tmp_path)

    def verified(*words: str) -> subprocess.CompletedProcess[str]:
        darkroom = str(Path(sys.executable).with_name("darkroom"))
        command = [darkroom, "verify", str(file), "--json", *words]
        environment = {**os.environ, "DARKROOM_URL": str(system.stack.page_url)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    verification = verified()
    assert verification.returncode == ExitCode.SUCCESS, verification.stdout + verification.stderr
    result = json.loads(verification.stdout)
    assert (result["bit_equal"], result["record_differences"]) == (True, [])
    assert result["task_id"] != generation.task.id

    other = tmp_path / "other.png"
    with Image.open(file) as picture:
        chunks = PngInfo()
        chunks.add_itxt("darkroom", picture.info["darkroom"])
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(other, pnginfo=chunks)
    file.write_bytes(other.read_bytes())
    assert verified().returncode == ExitCode.EDITED
