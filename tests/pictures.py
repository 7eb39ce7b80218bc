"""Pictures for uploads: valid ones, written with Pillow, and hostile ones, written byte by byte."""

import io
import struct
import zlib

from PIL import Image


def picture(kind: str, *, width: int = 64, height: int = 48, frames: int = 1, shade: int = 0) -> bytes:
    """Return a file of the given Pillow format: one color per frame."""
    images = [Image.new("RGB", (width, height), (60 * frame, shade, 200)) for frame in range(frames)]
    file = io.BytesIO()
    if frames > 1:
        images[0].save(file, kind, save_all=True, append_images=images[1:], duration=100)
    else:
        images[0].save(file, kind)
    return file.getvalue()


def png(*, width: int = 64, height: int = 48, shade: int = 0) -> bytes:
    return picture("PNG", width=width, height=height, shade=shade)


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with_an_empty_profile() -> bytes:
    """Return a PNG with an iCCP chunk without a profile after the pixels, for which Pillow raises IndexError."""
    whole = png()
    end = len(whole) - len(png_chunk(b"IEND"))
    return whole[:end] + png_chunk(b"iCCP") + whole[end:]


def png_header(width: int, height: int) -> bytes:
    """Return the beginning of a PNG that states this size: signature and header."""
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))


def png_bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """Return a small file that decodes to many pixels."""
    row = zlib.compressobj()
    content = b"".join(row.compress(bytes(3 * width + 1)) for _ in range(64)) + row.flush()
    return png_header(width, height) + png_chunk(b"IDAT", content) + png_chunk(b"IEND")


def jpeg_with_scans(count: int, *, before: bytes = b"", side: int = 64) -> bytes:
    """Return a progressive JPEG with this many additional scans, and other bytes before them."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True)
    image, end = file.getvalue()[:-2], file.getvalue()[-2:]
    scan = image[image.rindex(b"\xff\xda") :]
    return image + before + scan * count + end
