"""Read the type and size of a picture from its header, without decoding pixels.

Strict: every part that is read must be complete and valid, and the work is bounded, whatever the
bytes are. Animations are refused, because a task starts from one picture.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from common.domain.errors import DomainError

MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp")
"""The types of pictures that can be uploaded."""

_MAX_PARTS = 10_000
"""Chunks or segments of a file; ten times more than encoders write. Bounds the time of a refusal."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Color type → allowed bit depths (PNG specification, table 12)."""
PNG_AROUND = 12
"""Length, type and CRC of a chunk."""
_JPEG_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
"""A marker that has a length behind it, or begins or ends the picture. Decoders pass over the others."""
_JPEG_FILL = re.compile(rb"\xff{0,100}")
"""Bytes before a marker, of which encoders write a few."""
_JPEG_START, _JPEG_END, JPEG_SCAN = 0xD8, 0xD9, 0xDA
_MAX_SCANS = 25
"""Of a progressive JPEG; encoders write 10, at most 18. A decoder passes over all pixels for each."""
_JPEG_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
"""Baseline, extended and progressive with Huffman coding: what browsers write and decoders read."""
_JPEG_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_OTHER_TYPES = {
    "GIF": re.compile(rb"GIF8"),
    "SVG": re.compile(rb"(?s)(?:\xef\xbb\xbf)?\s*<(?:svg|\?xml|!DOCTYPE svg|!--)"),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
    "AVIF or HEIC": re.compile(rb"(?s)....ftyp"),
    "PDF": re.compile(rb"%PDF"),
}


class PictureRefusedError(DomainError):
    """The file cannot be an input. The message is one sentence for the caller."""


class PictureTypeError(PictureRefusedError):
    """The bytes are not a PNG, JPEG or WebP, whatever the request says."""

    code = "picture_type_not_supported"


class AnimatedPictureError(PictureRefusedError):
    """The file has several frames."""

    code = "picture_animated"

    def __init__(self) -> None:
        super().__init__("the picture is animated; send a file with one frame")


class DamagedPictureError(PictureRefusedError):
    """The file is incomplete or contradicts itself."""

    code = "picture_damaged"


class PictureTooLargeError(PictureRefusedError):
    """The picture has too many pixels."""

    code = "picture_too_large"


@dataclass(frozen=True, slots=True)
class PictureHeader:
    media_type: str
    width: int
    height: int


def read_header(data: bytes) -> PictureHeader:
    """Return the type and size of a picture. Raises PictureRefusedError."""
    if not data:
        raise DamagedPictureError("the file is empty")
    for matches, read in _READERS:
        if matches(data):
            try:
                header = read(data)
            except (struct.error, IndexError) as exc:
                raise _ends_early() from exc
            if header.width == 0 or header.height == 0:
                raise DamagedPictureError("the picture has no pixels")
            return header
    found = next((name for name, pattern in _OTHER_TYPES.items() if pattern.match(data)), None)
    got = "" if found is None else f" (got {found})"
    raise PictureTypeError(f"the file must be a PNG, JPEG or WebP{got}")


def _png(data: bytes) -> PictureHeader:
    length, kind, width, height, depth, color, _, _, interlace = struct.unpack_from(">I4s2I5B", data, 8)
    if (length, kind) != (13, b"IHDR") or depth not in _PNG_DEPTHS.get(color, ()) or interlace > 1:
        raise DamagedPictureError("the PNG's header is invalid")
    position, has_pixels = len(PNG_SIGNATURE), False
    for _ in range(_MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += length + PNG_AROUND
        if position > len(data):
            raise _ends_early()
        if kind == b"acTL" and not has_pixels:
            raise AnimatedPictureError
        if kind == b"IEND":
            if not has_pixels:
                raise DamagedPictureError("the PNG has no pixels")
            return PictureHeader("image/png", width, height)
        has_pixels = has_pixels or kind == b"IDAT"
    raise _too_many_parts()


class JpegSegment(NamedTuple):
    """A part of a JPEG with a length: from the begin of its marker to its end."""

    marker: int
    start: int
    end: int


def jpeg_segments(jpeg: bytes) -> Iterator[JpegSegment]:
    """Yield the segments of a JPEG up to its end, as decoders find them: the pixels of a scan follow its segment.

    Raises DamagedPictureError and struct.error.
    """
    position = 2
    for _ in range(_MAX_PARTS):
        found = _JPEG_MARKER.search(jpeg, position)
        if found is None:
            raise _ends_early()
        marker, start, position = found[1][0], found.start(), found.end()
        if marker == _JPEG_END:
            return
        (length,) = struct.unpack_from(">H", jpeg, position)
        if marker == _JPEG_START or length < 2:
            raise DamagedPictureError("the JPEG's segments are invalid")
        position += length
        yield JpegSegment(marker, start, position)
    raise _too_many_parts()


def _jpeg(data: bytes) -> PictureHeader:
    frame: PictureHeader | None = None
    scans, end = 0, 2
    for segment in jpeg_segments(data):
        if frame is None and _JPEG_FILL.fullmatch(data, end, segment.start) is None:
            raise DamagedPictureError("the JPEG's segments are invalid")
        end = segment.end
        scans += segment.marker == JPEG_SCAN
        if scans > _MAX_SCANS:
            raise DamagedPictureError(f"the JPEG has more than {_MAX_SCANS} scans; save it again")
        if frame is not None:
            continue
        if segment.marker in _JPEG_OTHER_FRAMES:
            raise PictureTypeError("the JPEG uses a rare coding; save it as a baseline or progressive JPEG")
        if segment.marker == JPEG_SCAN:
            break
        if segment.marker in _JPEG_FRAMES:
            frame = _jpeg_frame(data, segment)
    if frame is None:
        raise DamagedPictureError("the JPEG has no size before its pixels")
    return frame


def _jpeg_frame(data: bytes, segment: JpegSegment) -> PictureHeader:
    length, depth, height, width, components = struct.unpack_from(">HB2HB", data, segment.start + 2)
    if depth != 8 or components not in (1, 3, 4) or length != 8 + 3 * components:
        raise DamagedPictureError("the JPEG's header is invalid")
    return PictureHeader("image/jpeg", width, height)


def _webp(data: bytes) -> PictureHeader:
    (length,) = struct.unpack_from("<I", data, 4)
    end = length + 8
    if end > len(data):
        raise _ends_early()
    canvas: PictureHeader | None = None
    position = 12
    for _ in range(_MAX_PARTS):
        if position + 8 > end:
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        position += 8
        if position + length > end:
            raise _ends_early()
        if kind in (b"ANIM", b"ANMF"):
            raise AnimatedPictureError
        if kind == b"VP8X":
            flags = data[position]
            if flags & 0b10:
                raise AnimatedPictureError
            canvas = _webp_size(*(_int24(data, position + at) + 1 for at in (4, 7)))
        elif kind in (b"VP8 ", b"VP8L"):
            frame = _vp8(data, position) if kind == b"VP8 " else _vp8l(data, position)
            if canvas not in (None, frame):
                raise DamagedPictureError("the WebP states two different sizes")
            return frame
        position += length + length % 2
    raise DamagedPictureError("the WebP has no pixels")


def _vp8(data: bytes, position: int) -> PictureHeader:
    tag = data[position]
    start, width, height = struct.unpack_from("<3s2H", data, position + 3)
    if tag & 1 or start != b"\x9d\x01\x2a":  # a frame that depends on an earlier one
        raise DamagedPictureError("the WebP's header is invalid")
    return _webp_size(width & 0x3FFF, height & 0x3FFF)


def _vp8l(data: bytes, position: int) -> PictureHeader:
    signature, bits = struct.unpack_from("<BI", data, position)
    if signature != 0x2F or bits >> 29:
        raise DamagedPictureError("the WebP's header is invalid")
    return _webp_size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)


def _webp_size(width: int, height: int) -> PictureHeader:
    return PictureHeader("image/webp", width, height)


def _int24(data: bytes, position: int) -> int:
    return data[position] | data[position + 1] << 8 | data[position + 2] << 16


def _ends_early() -> DamagedPictureError:
    return DamagedPictureError("the file is incomplete: it ends before the picture does")


def _too_many_parts() -> DamagedPictureError:
    return DamagedPictureError(f"the file has more than {_MAX_PARTS} parts")


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], PictureHeader]], ...] = (
    (lambda data: data.startswith(PNG_SIGNATURE), _png),
    (lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp),
)
