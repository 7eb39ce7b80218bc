"""Encoding of image files with the image's record inside, and reading the record back.

Every format contains the same ImageRecord, unless the task's `metadata` is `none`. PNG has it in an
iTXt chunk `darkroom`, beside a text chunk `parameters` in the format of AUTOMATIC1111's web UI:
tEXt if Latin-1 can represent it, which more programs read, else iTXt. The other formats have these
lines in the EXIF UserComment (where the same UI reads them) and the record in an XMP packet.
"""

import hashlib
import io
from typing import Any
from xml.sax.saxutils import quoteattr, unescape

from PIL import ExifTags, Image, PngImagePlugin

from common.domain.parameters import LOSSLESS_QUALITY, GenerationParameters, Metadata, OutputFormat
from common.domain.provenance import DrawConditions, Provenance
from common.wire_formats.versions import UndecodableError
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.decoding import DAMAGED
from gpu_subscriber.images.parameter_lines import parameter_lines
from gpu_subscriber.images.record import ImageRecord, decode_image_record, encode_image_record

_PNG_COMPRESS_LEVEL = 1
"""zlib's fastest level: 3 to 5 times faster than Pillow's default for a few percent more bytes."""
_JPEG_QUALITY = 92
_WEBP_QUALITY = 90
_WEBP_METHOD = 2
"""libwebp's effort, 0 to 6; above 2 encoding takes longer than the upload."""
_LOSSLESS_WEBP: dict[str, Any] = {"lossless": True, "quality": 0, "method": _WEBP_METHOD}
"""Here `quality` is an effort: more of it takes longer and saves nothing."""
_AVIF_QUALITY = 80
_AVIF_SPEED = 8
"""0 to 10; below 8 encoding takes several times as long for 2 % fewer bytes."""
_AVIF: dict[str, Any] = {"speed": _AVIF_SPEED, "subsampling": "4:4:4", "max_threads": 1, "autotiling": False}
"""One thread: the number of threads may change the bytes."""
_UNICODE_COMMENT = b"UNICODE\x00"
_XMP_NAMESPACE = "https://darkroom.dev/ns/1.0/"
_XMP_ATTRIBUTE = "darkroom:record"
_FORMATS = tuple(each.value for each in OutputFormat)
"""Pillow would give a file of another format to its other decoders, some of which start programs."""


def recorded(
    pixels: bytes,
    size: tuple[int, int],
    parameters: GenerationParameters,
    draw_conditions: DrawConditions,
    *,
    task_id: str,
    index: int,
    attempt: int,
) -> ImageRecord:
    """Build the record of an RGB image, `size` = (width, height).

    `parameters` are those of this single image.
    """
    provenance = Provenance(
        **dict(draw_conditions),
        attempt=attempt,
        pixels_sha256=pixels_sha256(pixels, size),
        decoded_sha256=pixels_sha256(pixels, size, shown_by=parameters),
    )
    return ImageRecord(task_id=task_id, index=index, parameters=parameters, provenance=provenance)


def encode_image(pixels: bytes, size: tuple[int, int], record: ImageRecord) -> bytes:
    """Encode an RGB image, with its record unless the parameters say otherwise.

    The output is deterministic.
    """
    return _encoded(pixels, size, record.parameters, **_metadata(record))


def pixels_sha256(
    pixels: bytes, size: tuple[int, int], *, shown_by: GenerationParameters | None = None
) -> str:
    """Return the SHA-256, in hex, of an RGB image.

    With `shown_by` it is that of the decoded file with these parameters.
    """
    if shown_by is not None and not shown_by.is_lossless:
        with Image.open(io.BytesIO(_encoded(pixels, size, shown_by))) as image:
            pixels = image.convert("RGB").tobytes()
    return hashlib.sha256(pixels).hexdigest()


def read_record(data: bytes) -> ImageRecord:
    """Read the record that `encode_image` embedded; raises UnreadableImageError if there is none."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()  # a PNG's text chunk may follow its pixels
            embedded = image.info.get("darkroom") or _from_xmp(image.info.get("xmp", b""))
        return decode_image_record(embedded)
    except UndecodableError as exc:
        raise UnreadableImageError(f"no image with a record: {exc.reason}") from exc
    except DAMAGED as exc:
        raise UnreadableImageError("no image with a record") from exc


def _encoded(
    pixels: bytes, size: tuple[int, int], parameters: GenerationParameters, **metadata: Any
) -> bytes:
    file = io.BytesIO()
    image = Image.frombytes("RGB", size, pixels)
    image.save(file, parameters.output_format.value, **_options(parameters), **metadata)
    return file.getvalue()


def _options(parameters: GenerationParameters) -> dict[str, Any]:
    quality = parameters.output_quality
    match parameters.output_format:
        case OutputFormat.PNG:
            return {"compress_level": _PNG_COMPRESS_LEVEL}
        case OutputFormat.JPEG:
            return {"quality": quality or _JPEG_QUALITY}
        case OutputFormat.WEBP:
            if quality == LOSSLESS_QUALITY:
                return _LOSSLESS_WEBP
            return {"quality": quality or _WEBP_QUALITY, "method": _WEBP_METHOD}
        case OutputFormat.AVIF:
            return {"quality": quality or _AVIF_QUALITY, **_AVIF}


def _metadata(record: ImageRecord) -> dict[str, Any]:
    if record.parameters.metadata is Metadata.NONE:
        return {}
    text, lines = encode_image_record(record), parameter_lines(record)
    if record.parameters.output_format is OutputFormat.PNG:
        return {"pnginfo": _png_chunks(text, lines)}
    return {"exif": _exif(lines), "xmp": _xmp(text)}


def _png_chunks(text: str, lines: str) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", lines)  # as iTXt if Latin-1 cannot represent them
    chunks.add_itxt("darkroom", text)
    return chunks


def _exif(lines: str) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "darkroom"
    comment = _UNICODE_COMMENT + lines.encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif


def _xmp(text: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:darkroom="{_XMP_NAMESPACE}" {_XMP_ATTRIBUTE}={quoteattr(text)}/>'
        "</rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def _from_xmp(packet: bytes | str) -> str:
    """Extract the record's JSON from darkroom's XMP packet.

    It uses no XML parser, because the bytes are untrusted.
    """
    text = packet if isinstance(packet, str) else packet.decode("utf-8", "replace")
    _, found, rest = text.partition(f"{_XMP_ATTRIBUTE}=")
    if not found or not rest:
        return ""
    value, _, _ = rest[1:].partition(rest[0])
    return unescape(value, {"&quot;": '"', "&#10;": "\n", "&#13;": "\r", "&#9;": "\t"})
