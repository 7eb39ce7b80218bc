"""Encoding of image files with the image's record inside, and reading the record back.

Every format contains the same ImageRecord. PNG has it in an iTXt chunk `darkroom`, beside a text
chunk `parameters` in the format of AUTOMATIC1111's web UI. JPEG and WebP have these lines in the
EXIF UserComment (where the same UI reads them) and the record in an XMP packet.
"""

import hashlib
import io
from typing import Any
from xml.sax.saxutils import quoteattr, unescape

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from common.domain.models.traits import Guidance
from common.domain.parameters import GenerationParameters, OutputFormat, Sampler
from common.domain.provenance import DrawConditions, Provenance
from common.wire_formats.versions import UndecodableError
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.record import ImageRecord, decode_image_record, encode_image_record

_PNG_COMPRESS_LEVEL = 1
"""zlib's fastest level: 3 to 5 times faster than Pillow's default for a few percent more bytes."""
_JPEG_QUALITY = 92
_WEBP_QUALITY = 90
_WEBP_METHOD = 2
"""libwebp's effort, 0 to 6; above 2 encoding takes longer than the upload."""
_ENCODING: dict[OutputFormat, dict[str, Any]] = {
    OutputFormat.PNG: {"compress_level": _PNG_COMPRESS_LEVEL},
    OutputFormat.JPEG: {"quality": _JPEG_QUALITY},
    OutputFormat.WEBP: {"quality": _WEBP_QUALITY, "method": _WEBP_METHOD},
}
_UNICODE_COMMENT = b"UNICODE\x00"
_XMP_NAMESPACE = "https://darkroom.dev/ns/1.0/"
_XMP_ATTRIBUTE = "darkroom:record"


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
        decoded_sha256=pixels_sha256(pixels, size, shown_by=parameters.output_format),
    )
    return ImageRecord(task_id=task_id, index=index, parameters=parameters, provenance=provenance)


def encode_image(pixels: bytes, size: tuple[int, int], record: ImageRecord) -> bytes:
    """Encode an RGB image with its record. The output is deterministic."""
    text = encode_image_record(record)
    lines = parameter_lines(record)
    output_format = record.parameters.output_format
    match output_format:
        case OutputFormat.PNG:
            return _encoded(pixels, size, output_format, pnginfo=_png_chunks(text, lines))
        case OutputFormat.JPEG | OutputFormat.WEBP:
            return _encoded(pixels, size, output_format, exif=_exif(lines), xmp=_xmp(text))


def pixels_sha256(pixels: bytes, size: tuple[int, int], *, shown_by: OutputFormat | None = None) -> str:
    """Return the SHA-256, in hex, of an RGB image.

    With `shown_by` it is that of the decoded file of this format.
    """
    if shown_by in (OutputFormat.JPEG, OutputFormat.WEBP):
        with Image.open(io.BytesIO(_encoded(pixels, size, shown_by))) as image:
            pixels = image.convert("RGB").tobytes()
    return hashlib.sha256(pixels).hexdigest()


def read_record(data: bytes) -> ImageRecord:
    """Read the record that `encode_image` embedded; raises UnreadableImageError if there is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # a PNG's text chunk may follow its pixels
            embedded = image.info.get("darkroom") or _from_xmp(image.info.get("xmp", b""))
        return decode_image_record(embedded)
    except UndecodableError as exc:
        raise UnreadableImageError(f"no image with a record: {exc.reason}") from exc
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as exc:
        raise UnreadableImageError("no image with a record") from exc


def parameter_lines(record: ImageRecord) -> str:
    """Format the parameters in the common format: prompt, negative prompt, then the others."""
    asked = record.parameters
    negative = asked.negative_prompt
    sampler = asked.sampler.value
    if asked.sampler is Sampler.OWN:
        sampler = f"{sampler} ({record.provenance.sampler_config.get('class', 'unknown')})"
    guidance = "" if asked.guidance is Guidance.NONE else f"CFG scale: {asked.guidance_scale:g}, "
    settings = (
        f"Steps: {asked.steps}, Sampler: {sampler}, {guidance}"
        f"Seed: {asked.seed}, Size: {asked.width}x{asked.height}, Model: {asked.model}"
    )
    lines = [asked.prompt, *([f"Negative prompt: {negative}"] if negative else []), settings]
    return "\n".join(lines)


def _encoded(pixels: bytes, size: tuple[int, int], output_format: OutputFormat, **metadata: Any) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(
        file, output_format.value, **_ENCODING[output_format], **metadata
    )
    return file.getvalue()


def _png_chunks(text: str, lines: str) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("parameters", lines)
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
