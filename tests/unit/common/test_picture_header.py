"""The type and size in a picture's header, and the files that are refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.picture_header import (
    AnimatedPictureError,
    DamagedPictureError,
    PictureHeader,
    PictureRefusedError,
    PictureTypeError,
    read_header,
)
from tests.pictures import jpeg_with_scans, picture, png, png_chunk, png_header

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (64, 48), (333, 5)])
def test_header_has_type_and_size(kind: str, size: tuple[int, int]) -> None:
    width, height = size
    assert read_header(picture(kind, width=width, height=height)) == PictureHeader(KINDS[kind], width, height)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int, height: int, *, flags: int = 0) -> tuple[bytes, bytes]:
    sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"VP8X", bytes([flags, 0, 0, 0]) + sizes


def vp8l(width: int, height: int) -> tuple[bytes, bytes]:
    return b"VP8L", struct.pack("<BI", 0x2F, (width - 1) | (height - 1) << 14) + bytes(20)


def jpeg_frame(marker: int, *, depth: int = 8) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">HB2HB", 17, depth, 48, 64, 3) + bytes(9)


JPEG_START = b"\xff\xd8\xff\xe0\x00\x04AB"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (riff(vp8l(64, 48)), (64, 48)),
        (riff(vp8x(64, 48), (b"ICCP", b"odd"), vp8l(64, 48)), (64, 48)),
        (JPEG_START + b"\xff\xff\xff" + jpeg_frame(0xC2) + b"\xff\xd9", (64, 48)),
        (
            png_header(64, 48) + png_chunk(b"tEXt", b"a\0b") + png_chunk(b"IDAT") + png_chunk(b"IEND"),
            (64, 48),
        ),
    ],
    ids=["lossless", "with a profile", "fill bytes", "with text"],
)
def test_header_is_found_behind_other_parts(data: bytes, size: tuple[int, int]) -> None:
    header = read_header(data)
    assert (header.width, header.height) == size


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncated_file_is_refused_as_damaged(kind: str) -> None:
    whole = picture(kind)
    for length in (*range(13, min(len(whole), 200)), *range(200, len(whole) - 1, 50), len(whole) - 1):
        with pytest.raises(DamagedPictureError):
            read_header(whole[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a" + bytes(20),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf \n<?xml version='1.0'?><svg/>",
        b"BM" + bytes(60),
        b"II*\0" + bytes(20),
        b"\0\0\0\x20ftypavif" + bytes(20),
        b"%PDF-1.7",
        b"a text",
        b"\x89PNX" + bytes(60),
        b"RIFF\x10\0\0\0WAVE" + bytes(20),
        bytes(100),
        JPEG_START + jpeg_frame(0xC3) + b"\xff\xd9",
    ],
)
def test_other_types_are_refused(data: bytes) -> None:
    with pytest.raises(PictureTypeError, match=r"PNG, JPEG|JPEG uses"):
        read_header(data)


@pytest.mark.parametrize(
    "data",
    [
        picture("PNG", frames=3),
        picture("WEBP", frames=3),
        riff(vp8x(64, 48, flags=0b10), vp8l(64, 48)),
        riff(vp8x(64, 48), (b"ANIM", bytes(6)), vp8l(64, 48)),
    ],
    ids=["APNG", "WebP", "flag", "chunk"],
)
def test_animations_are_refused(data: bytes) -> None:
    with pytest.raises(AnimatedPictureError):
        read_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        png_header(0, 48) + png_chunk(b"IDAT") + png_chunk(b"IEND"),
        png_header(64, 48) + png_chunk(b"IEND"),
        png_header(64, 48).replace(b"\x08\x02", b"\x07\x02") + png_chunk(b"IDAT") + png_chunk(b"IEND"),
        png_header(64, 48) + png_chunk(b"tEXt") * 20_000,
        png_header(64, 48) + struct.pack(">I", 2**32 - 1) + b"IDAT",
        JPEG_START + jpeg_frame(0xC0, depth=12) + b"\xff\xd9",
        JPEG_START + b"\xff\xda" + bytes(20),
        JPEG_START + b"\xff\xe1\x00\x01" + jpeg_frame(0xC0) + b"\xff\xd9",
        JPEG_START + b"\xff\xd0" * 20_000,
        JPEG_START + b"\xff" * 20_000 + jpeg_frame(0xC0) + b"\xff\xd9",
        JPEG_START + bytes(50),
        riff(vp8x(64, 48), vp8l(64, 49)),
        riff(vp8x(64, 48)),
        riff((b"VP8 ", bytes(20))),
        riff((b"VP8L", bytes(20))),
    ],
)
def test_contradictory_files_are_refused_as_damaged(data: bytes) -> None:
    with pytest.raises(DamagedPictureError):
        read_header(data)


@pytest.mark.parametrize(
    "before",
    [b"", b"\xff\xfe\x00\x04\xff\xd9", b"\xff\x02\xff\xff", b"\xff\xd0"],
    ids=["alone", "behind a comment with an end", "behind an unknown marker", "behind a restart"],
)
def test_jpeg_with_many_scans_is_refused(before: bytes) -> None:
    assert read_header(jpeg_with_scans(15, before=before)).width == 64
    with pytest.raises(DamagedPictureError, match="more than 25 scans"):
        read_header(jpeg_with_scans(25, before=before))


def test_bytes_behind_the_end_of_a_jpeg_are_ignored() -> None:
    assert read_header(jpeg_with_scans(1) + jpeg_with_scans(200)).width == 64


@given(
    start=st.sampled_from([png()[:40], picture("JPEG")[:40], picture("WEBP")[:30], b""]),
    rest=st.binary(max_size=300),
)
def test_any_bytes_give_a_header_or_a_refusal(start: bytes, rest: bytes) -> None:
    try:
        header = read_header(start + rest)
    except PictureRefusedError:
        return
    assert header.width > 0
    assert header.height > 0
