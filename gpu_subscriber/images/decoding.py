"""Decode pictures that callers uploaded. The bytes are untrusted.

The header is checked before Pillow reads the file: only PNG, JPEG and WebP with a bounded number of
pixels and one frame are decoded, each by its own plugin. Metadata is dropped, except the
orientation, which is applied. Color profiles are ignored.
"""

import io
import struct
import zlib
from collections.abc import Callable

# Pillow finds plugins lazily; these are the only ones that may see the bytes.
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

from common.picture_header import (
    JPEG_SCAN,
    PNG_AROUND,
    PNG_SIGNATURE,
    PictureRefusedError,
    PictureTooLargeError,
    jpeg_segments,
    read_header,
)
from gpu_subscriber.engine.messages import Picture
from gpu_subscriber.errors import UnreadableImageError

FILTER = Image.Resampling.LANCZOS
"""The filter with which diffusers resizes pictures."""
REFERENCE_SIDE = 512
"""The shorter side of a reference picture: networks that read one resize it to 224 or 336 pixels."""
_LONGEST_REFERENCE = 32
"""The longer side of a reference picture, in shorter sides. The networks enlarge the shorter side
first: an engine needs seconds and gigabytes for a picture of 4,096 × 1 pixels.
"""
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
_PNG_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"))
_JPEG_METADATA = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))
"""Comments and application segments, except those that state how colors are coded."""
_JPEG_APP1 = 0xE1
_EXIF_START = b"Exif\0\0"
_MAX_EXIF_BYTES = 65_533
"""As much as a JPEG's segment holds. Pillow decodes all values to change the orientation: of 20 MB, for
seconds and with hundreds of megabytes.
"""
DAMAGED = (
    OSError, EOFError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for files that contradict themselves."""


def decoded_image(data: bytes, size: tuple[int, int], *, max_pixels: int) -> Picture:
    """Return a picture as RGB in `size` = (width, height). Raises UnreadableImageError.

    Transparent parts keep their color, as in `Image.convert`.
    """
    image = _upright(data, max_pixels=max_pixels)
    return _picture(_resized(_in_mode("RGB", image), size))


def decoded_reference(data: bytes, _size: tuple[int, int], *, max_pixels: int) -> Picture:
    """Return a picture as RGB with its own proportions, smaller if it is large. Raises UnreadableImageError.

    Of a very long picture, the middle: the networks read its central square.
    """
    image = _middle(_in_mode("RGB", _upright(data, max_pixels=max_pixels)))
    scale = min(1.0, REFERENCE_SIDE / min(image.size))
    return _picture(_resized(image, (round(image.width * scale), round(image.height * scale))))


def decoded_mask(data: bytes, size: tuple[int, int], *, max_pixels: int) -> Picture:
    """Return a mask in `size`, in which white selects what to generate again.

    Where parts are transparent, they select it instead. Raises UnreadableImageError.
    """
    image = _upright(data, max_pixels=max_pixels)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    is_opaque = alpha is None or alpha.getextrema() == (255, 255)
    mask = _in_mode("L", image) if alpha is None or is_opaque else ImageOps.invert(alpha)
    return _picture(_resized(mask, size))


def _upright(data: bytes, *, max_pixels: int) -> Image.Image:
    """Decode, and apply the orientation."""
    try:
        header = read_header(data)
        if header.width * header.height > max_pixels:
            raise PictureTooLargeError(
                f"the picture has {header.width} × {header.height} pixels; a picture may have {max_pixels:,}"
            )
    except PictureRefusedError as error:
        raise UnreadableImageError(str(error)) from error
    needed = _NEEDED_PARTS.get(header.media_type)
    file = io.BytesIO(data if needed is None else needed(data))
    try:
        with Image.open(file, formats=(_FORMATS[header.media_type],)) as image:
            if image.size != (header.width, header.height):
                raise UnreadableImageError("the picture states two different sizes")
            if len(image.info.get("exif", b"")) > _MAX_EXIF_BYTES:
                del image.info["exif"]
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            # Pillow would clip 16 bits instead of scaling them.
            is_deep = image.mode.startswith("I")
            return image.point(lambda value: value / 256).convert("L") if is_deep else image
    except DAMAGED as error:
        raise UnreadableImageError("the picture is damaged") from error


def _needed_of_png(png: bytes) -> bytes:
    """Return a PNG, whose header was read, without texts and profiles: they may be compressed bombs."""
    kept, position = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        if kind in _PNG_NEEDED:
            kept.append(png[position : position + length + PNG_AROUND])
        if kind == b"IEND":
            break
        position += length + PNG_AROUND
    return b"".join(kept)


def _needed_of_jpeg(jpeg: bytes) -> bytes:
    """Return a JPEG, whose header was read, with no metadata except one segment of EXIF.

    Pillow would join any number of them, and read numbers from them before the size is checked.
    """
    kept, has_exif = [jpeg[:2]], False
    for marker, start, end in jpeg_segments(jpeg):
        if marker == JPEG_SCAN:
            kept.append(jpeg[start:])
            break
        segment = jpeg[start:end]
        is_first_exif = not has_exif and marker == _JPEG_APP1 and segment[4:10] == _EXIF_START
        if marker not in _JPEG_METADATA or is_first_exif:
            kept.append(segment)
            has_exif = has_exif or is_first_exif
    return b"".join(kept)


_NEEDED_PARTS: dict[str, Callable[[bytes], bytes]] = {
    "image/png": _needed_of_png,
    "image/jpeg": _needed_of_jpeg,
}


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, FILTER)


def _middle(image: Image.Image) -> Image.Image:
    longest = min(image.size) * _LONGEST_REFERENCE
    if max(image.size) <= longest:
        return image
    left, top = (max(0, side - longest) // 2 for side in image.size)
    return image.crop((left, top, left + min(image.width, longest), top + min(image.height, longest)))


def _picture(image: Image.Image) -> Picture:
    return Picture(width=image.width, height=image.height, pixels=image.tobytes())
