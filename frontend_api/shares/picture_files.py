"""Copies of image files without metadata, which contains all parameters and the task's id.

The worker wrote the files. Strict anyway: a file of any other form is refused, not passed on.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from common.domain.errors import DomainError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset((b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"IDAT", b"IEND"))
_PNG_AROUND = 12
"""Length, type and CRC of a chunk."""
_JPEG_START, _JPEG_SCAN = 0xD8, 0xDA
_JPEG_DROPPED = frozenset((0xE1, *range(0xE3, 0xEE), 0xEF, 0xFE))
"""Application segments but JFIF (0), color profiles (2) and Adobe's color transform (14); comments."""
_WEBP_DROPPED = frozenset((b"EXIF", b"XMP "))
_WEBP_HAS_METADATA = 0b1100
_AVIF_METADATA = frozenset((b"Exif", b"mime", b"uri "))
_FULL_BOX = 4
"""Version and flags of a full box."""


class UnknownFileError(DomainError):
    """The file has another form than those that the worker writes."""


def without_metadata(data: bytes, content_type: str) -> bytes:
    """Return the file with the same pixels and no metadata. Raises UnknownFileError."""
    strip = _STRIPPERS.get(content_type)
    if strip is None:
        raise UnknownFileError(f"files of the type {content_type[:100]!r} are not shared")
    try:
        return strip(data)
    except (struct.error, IndexError, ValueError) as error:
        raise UnknownFileError(f"the file is no {content_type}") from error


def _png(data: bytes) -> bytes:
    kept, position = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    _require(data.startswith(_PNG_SIGNATURE))
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + length + _PNG_AROUND
        _require(end <= len(data))
        if kind in _PNG_KEPT:
            kept.append(data[position:end])
        if kind == b"IEND":
            return b"".join(kept)
        position = end


def _jpeg(data: bytes) -> bytes:
    _require(data[:2] == bytes((0xFF, _JPEG_START)))
    kept, position = [data[:2]], 2
    while True:
        marker, kind, length = struct.unpack_from(">BBH", data, position)
        end = position + 2 + length
        _require(marker == 0xFF and length >= 2 and end <= len(data))
        if kind == _JPEG_SCAN:
            return b"".join((*kept, data[position:]))
        if kind not in _JPEG_DROPPED:
            kept.append(data[position:end])
        position = end


def _webp(data: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", data, 4)
    end = size + 8
    _require(data[:4] == b"RIFF" and data[8:12] == b"WEBP" and end <= len(data))
    kept, position = [b"WEBP"], 12
    while position < end:
        kind, length = struct.unpack_from("<4sI", data, position)
        following = position + 8 + length + length % 2
        _require(following <= end)
        chunk = bytearray(data[position:following])
        if kind == b"VP8X":
            chunk[8] &= ~_WEBP_HAS_METADATA
        if kind not in _WEBP_DROPPED:
            kept.append(bytes(chunk))
        position = following
    content = b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _avif(data: bytes) -> bytes:
    """Overwrite the metadata items: other offsets of the file refer to the bytes behind them."""
    copy = bytearray(data)
    (meta,) = [(start, end) for kind, start, end in _boxes(data, 0, len(data)) if kind == b"meta"]
    parts = {kind: (start, end) for kind, start, end in _boxes(data, meta[0] + _FULL_BOX, meta[1])}
    items = set()
    for item_id, type_at in _avif_items(data, *parts[b"iinf"]):
        if data[type_at : type_at + 4] in _AVIF_METADATA:
            items.add(item_id)
            copy[type_at : type_at + 4] = b"skip"  # a type that readers ignore
    for item_id, start, length in _avif_extents(data, *parts[b"iloc"]):
        if item_id in items:
            _require(start + length <= len(data))
            copy[start : start + length] = bytes(length)
    return bytes(copy)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, and where the content of each box begins and ends (ISO/IEC 14496-12)."""
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        _require(8 <= size <= end - start)
        yield kind, start + 8, start + size
        start += size


def _avif_items(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the id of each item, and where its type is."""
    _require(data[start] == 0)  # a count of 16 bits
    for kind, entry, _ in _boxes(data, start + _FULL_BOX + 2, end):
        _require(kind == b"infe" and data[entry] == 2)  # an id of 16 bits
        (item_id,) = struct.unpack_from(">H", data, entry + _FULL_BOX)
        yield item_id, entry + _FULL_BOX + 4


def _avif_extents(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the item, the offset in the file and the length of each extent."""
    version, sizes = data[start], data[start + _FULL_BOX : start + _FULL_BOX + 2]
    # Offsets and lengths of 32 bits, no base offset, and no offsets into another item.
    _require(version == 0 and sizes == bytes((0x44, 0)))
    (count,) = struct.unpack_from(">H", data, start + _FULL_BOX + 2)
    position = start + _FULL_BOX + 4
    for _ in range(count):
        item_id, _, extents = struct.unpack_from(">HHH", data, position)
        position += 6
        for _ in range(extents):
            _require(position + 8 <= end)
            yield item_id, *struct.unpack_from(">II", data, position)
            position += 8


def _require(is_met: bool) -> None:
    if not is_met:
        raise ValueError


_STRIPPERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/avif": _avif,
}
