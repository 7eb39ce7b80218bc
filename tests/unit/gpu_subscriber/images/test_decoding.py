"""Uploaded pictures: decoded as diffusers decodes them, or refused with a sentence and few resources."""

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.TiffImagePlugin import IFDRational

from gpu_subscriber.engine.messages import Picture
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.decoding import decoded_image, decoded_mask, decoded_reference
from tests.pictures import jpeg_with_scans

MAX_PIXELS = 4_096 * 4_096


def noise(width: int = 40, height: int = 24, mode: str = "RGB") -> Image.Image:
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze())


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def image(data: bytes, size: tuple[int, int]) -> Picture:
    return decoded_image(data, size, max_pixels=MAX_PIXELS)


def mask(data: bytes, size: tuple[int, int]) -> Picture:
    return decoded_mask(data, size, max_pixels=MAX_PIXELS)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress((b"\0" + bytes(40 * 3)) * 24))


# ── accepted pictures ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {"progressive": True}), ("WEBP", {"lossless": True})]
)
def test_picture_is_resized_as_by_diffusers(kind: str, options: dict[str, Any]) -> None:
    """VaeImageProcessor resizes with Lanczos; `test_starting_images.py` compares the rest."""
    data = file_of(noise(), kind, **options)
    with Image.open(io.BytesIO(data)) as opened:
        expected = opened.convert("RGB").resize((64, 32), Image.Resampling.LANCZOS)
    assert image(data, (64, 32)) == Picture(width=64, height=32, pixels=expected.tobytes())


def test_picture_of_the_right_size_is_not_resized() -> None:
    assert image(file_of(noise()), (40, 24)).pixels == noise().tobytes()


@pytest.mark.parametrize(
    ("size", "expected"), [((40, 24), (40, 24)), ((600, 520), (591, 512)), ((100, 2_000), (100, 2_000))]
)
def test_reference_keeps_its_proportions(size: tuple[int, int], expected: tuple[int, int]) -> None:
    shown = noise(*size)
    found = decoded_reference(file_of(shown), (64, 64), max_pixels=MAX_PIXELS)
    assert (found.width, found.height) == expected
    resized = shown if size == expected else shown.resize(expected, Image.Resampling.LANCZOS)
    assert found.pixels == resized.tobytes()


@pytest.mark.parametrize(
    ("size", "middle"), [((4_096, 2), (2_016, 0, 2_080, 2)), ((3, 1_000), (0, 452, 3, 548))]
)
def test_reference_is_the_middle_of_a_very_long_picture(
    size: tuple[int, int], middle: tuple[int, int, int, int]
) -> None:
    """A network would enlarge its shorter side to 224 pixels before it crops the longer one."""
    shown = noise(*size)
    found = decoded_reference(file_of(shown), (64, 64), max_pixels=MAX_PIXELS)
    expected = shown.crop(middle)
    assert (found.width, found.height, found.pixels) == (*expected.size, expected.tobytes())


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = image(file_of(noise(), exif=exif), (24, 40))
    assert turned.pixels == noise().transpose(Image.Transpose.ROTATE_270).tobytes()
    with_comment = file_of(noise(), "JPEG", exif=exif, comment=b"0" * 60_000, icc_profile=b"0" * 60_000)
    upright = Image.open(io.BytesIO(file_of(noise(), "JPEG")))
    expected = upright.transpose(Image.Transpose.ROTATE_270).tobytes()
    assert image(with_comment, (24, 40)).pixels == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    gray = Image.new("L", (8, 8), 200)
    if mode == "I;16":
        original = Image.fromarray(np.full((8, 8), 200 << 8, np.uint16))
    else:
        original = gray.convert("RGB").convert(mode) if mode in ("P", "CMYK") else gray.convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    values = np.frombuffer(image(file_of(original, kind), (8, 8)).pixels, np.uint8)
    assert abs(values.mean() - 200) <= 12  # dots instead of gray, a palette, JPEG's rounding


def test_mask_selects_white_or_transparent_parts() -> None:
    half = Image.new("L", (8, 8), 0)
    half.paste(255, (4, 0, 8, 8))
    expected = half.tobytes()
    assert mask(file_of(half), (8, 8)).pixels == expected
    opaque = half.convert("RGBA")
    assert mask(file_of(opaque), (8, 8)).pixels == expected
    erased = Image.new("RGBA", (8, 8), (10, 20, 30, 255))
    erased.putalpha(half.point(lambda value: 255 - value))
    assert mask(file_of(erased), (8, 8)).pixels == expected
    assert mask(file_of(half), (8, 8)).channels == 1


def exif_of(values: int) -> bytes:
    """Return EXIF that turns the picture and has this many rational numbers."""
    start = 8 + 2 + 2 * 12 + 4
    orientation = struct.pack("<2H2I", ExifTags.Base.Orientation, 3, 1, 6)
    numbers = struct.pack("<2H2I", ExifTags.Base.XResolution, 5, values, start)
    directory = struct.pack("<H", 2) + orientation + numbers + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + directory + b"\1\0\0\0" * 2 * values


def jpeg_with_exif(exif: bytes, *, segment_bytes: int = 60_000, before: bytes = b"\xff\xc0") -> bytes:
    """Return a JPEG with EXIF in as many segments as it needs, before another one."""
    parts = [exif[at : at + segment_bytes] for at in range(0, len(exif), segment_bytes)]
    segments = (b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts)
    plain = file_of(noise(), "JPEG")
    at = plain.index(before)
    return plain[:at] + b"".join(segments) + plain[at:]


@pytest.mark.filterwarnings("ignore:Tag data larger than file")
@pytest.mark.parametrize(
    "make",
    [
        lambda: png(40, 24, chunk(b"eXIf", exif_of(100_000)), PIXELS),
        lambda: file_of(noise(), "WEBP", exif=exif_of(100_000)),
        lambda: jpeg_with_exif(exif_of(100_000)),
        lambda: jpeg_with_exif(exif_of(100_000), before=b"\xff\xda"),
    ],
    ids=["png", "webp", "jpeg", "jpeg, behind its size"],
)
def test_few_values_of_exif_are_decoded(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0

    class CountingRational(IFDRational):
        def __init__(self, *numbers: Any) -> None:
            nonlocal decoded
            decoded += 1
            super().__init__(*numbers)

    monkeypatch.setattr(TiffImagePlugin, "IFDRational", CountingRational)
    image(make(), (24, 40))
    assert decoded < 10_000


# ── refused pictures ─────────────────────────────────────────────────────────────────────────────────────


def animation(kind: str) -> bytes:
    return file_of(noise(), kind, save_all=True, append_images=[noise(mode="L").convert("RGB")])


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "text": (lambda: b"hello" * 100, "must be a PNG, JPEG or WebP"),
    "svg": (lambda: b"<svg onload='x'/>", r"must be a PNG, JPEG or WebP \(got SVG\)"),
    "gif": (lambda: file_of(noise(), "GIF"), r"\(got GIF\)"),
    "tiff": (lambda: file_of(noise(), "TIFF"), r"\(got TIFF\)"),
    "animated png": (lambda: animation("PNG"), "is animated"),
    "animated webp": (lambda: animation("WEBP"), "is animated"),
    "20,000 pixels": (
        lambda: png(20_000, 20_000, chunk(b"IDAT", zlib.compress(b"\0"))),
        "may have 16,777,216",
    ),
    "most pixels without data": (
        lambda: png(4_096, 4_096, chunk(b"IDAT", zlib.compress(b"\0" * 100))),
        "is damaged",
    ),
    "truncated png": (
        lambda: png(64, 64, chunk(b"IDAT", zlib.compress(b"\1" * 64 * 193)[:-8])),
        "is damaged",
    ),
    "truncated jpeg": (lambda: file_of(noise(), "JPEG")[:-9], "ends before the picture does"),
    "jpeg with many scans": (lambda: jpeg_with_scans(10_000), "more than 25 scans"),
    "truncated webp": (lambda: file_of(noise(), "WEBP")[:-100], "it ends before the picture does"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_picture_is_refused_with_a_sentence(name: str) -> None:
    make, reason = HOSTILE[name]
    for decode in (image, mask):
        with pytest.raises(UnreadableImageError, match=reason):
            decode(make(), (64, 64))


def test_hostile_pictures_take_little_memory() -> None:
    """Measured in a process of its own."""
    bombs = b"".join(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) for _ in range(60))
    files = [make() for make, _ in HOSTILE.values()]
    files.append(png(1, 1, bombs, chunk(b"IDAT", zlib.compress(b"\0abc"))))
    script = """
import json, sys
from gpu_subscriber.images.decoding import decoded_image
from gpu_subscriber.errors import UnreadableImageError
files = [bytes.fromhex(text) for text in json.load(sys.stdin)]
def peak():
    # A child inherits its parent's peak in `getrusage`, but not here.
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
before = peak()
for data in files:
    try:
        decoded_image(data, (64, 64), max_pixels=4096 * 4096)
    except UnreadableImageError:
        pass
print(peak() - before)
"""
    texts = json.dumps([data.hex() for data in files])
    ran = subprocess.run(
        [sys.executable, "-c", script], input=texts, capture_output=True, text=True, timeout=60, check=True
    )
    assert int(ran.stdout) < 64 * 1_024
