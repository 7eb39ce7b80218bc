"""Image files that say how they were made: encoding with embedded parameters, and reading them back.

Every format carries the same JSON record. PNG holds it in an iTXt chunk `darkroom`, beside a tEXt-like chunk
`parameters` in the line format that AUTOMATIC1111's web UI made common; JPEG and WebP hold the lines in EXIF
UserComment (where the same UI looks for them) and the record in an XMP packet.
"""

import io
import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr, unescape

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from common.domain.parameters import GenerationParameters, OutputFormat
from gpu_subscriber.errors import UnreadableImageError

ParametersRecord = dict[str, Any]
RECORD_VERSION = 1
_PNG_COMPRESS_LEVEL = 1
"""zlib's fastest: 3 to 5 times faster than Pillow's default for a few per cent more bytes. Lossless either way."""
_JPEG_QUALITY = 92
_WEBP_QUALITY = 90
_WEBP_METHOD = 2
"""libwebp's effort, 0 to 6; above 2 an image takes longer to encode than to upload."""
_UNICODE_COMMENT = b"UNICODE\x00"
_XMP_NAMESPACE = "https://darkroom.dev/ns/1.0/"
_XMP_ATTRIBUTE = "darkroom:record"


def parameters_record(
    parameters: GenerationParameters, *, task_id: str, index: int, software: Mapping[str, str]
) -> ParametersRecord:
    """What image `index` of a task embeds: enough to draw this one image again. The seed is the image's own."""
    return {
        "version": RECORD_VERSION,
        "task_id": task_id,
        "index": index,
        "model": parameters.model,
        "prompt": parameters.prompt,
        "negative_prompt": parameters.negative_prompt,
        "seed": parameters.seed_of(index),
        "sampler": parameters.sampler.value,
        "steps": parameters.steps,
        "guidance_scale": parameters.guidance_scale,
        "width": parameters.width,
        "height": parameters.height,
        "software": dict(software),
    }


def encode_image(
    pixels: bytes, size: tuple[int, int], *, output_format: OutputFormat, record: ParametersRecord
) -> bytes:
    """The file of an RGB picture, `size` = (width, height), with its record inside. The same input, the same bytes."""
    image = Image.frombytes("RGB", size, pixels)
    file = io.BytesIO()
    match output_format:
        case OutputFormat.PNG:
            image.save(file, "PNG", compress_level=_PNG_COMPRESS_LEVEL, pnginfo=_png_chunks(record))
        case OutputFormat.JPEG:
            image.save(file, "JPEG", quality=_JPEG_QUALITY, exif=_exif(record), xmp=_xmp(record))
        case OutputFormat.WEBP:
            image.save(
                file, "WEBP", quality=_WEBP_QUALITY, method=_WEBP_METHOD, exif=_exif(record), xmp=_xmp(record)
            )
    return file.getvalue()


def read_parameters(data: bytes) -> ParametersRecord:
    """The record that `encode_image` embedded; raises UnreadableImageError when there is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            embedded = image.info.get("darkroom") or _from_xmp(image.info.get("xmp", b""))
        record = json.loads(embedded)
    except (UnidentifiedImageError, OSError, ValueError) as exc:
        raise UnreadableImageError("no image with embedded parameters") from exc
    if not isinstance(record, dict):
        raise UnreadableImageError("the embedded parameters are no record")
    return record


def parameter_lines(record: ParametersRecord) -> str:
    """The record as people and other programs of this field write it: prompt, negative prompt, then the rest."""
    negative = record["negative_prompt"]
    settings = (
        f"Steps: {record['steps']}, Sampler: {record['sampler']}, CFG scale: {record['guidance_scale']:g}, "
        f"Seed: {record['seed']}, Size: {record['width']}x{record['height']}, Model: {record['model']}"
    )
    lines = [record["prompt"], *([f"Negative prompt: {negative}"] if negative else []), settings]
    return "\n".join(lines)


def _png_chunks(record: ParametersRecord) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("parameters", parameter_lines(record))
    chunks.add_itxt("darkroom", _json(record))
    return chunks


def _exif(record: ParametersRecord) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "darkroom"
    comment = _UNICODE_COMMENT + parameter_lines(record).encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif


def _xmp(record: ParametersRecord) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:darkroom="{_XMP_NAMESPACE}" {_XMP_ATTRIBUTE}={quoteattr(_json(record))}/>'
        "</rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def _from_xmp(packet: bytes | str) -> str:
    """The record's JSON out of our own packet. No XML parser for bytes that anybody may have written."""
    text = packet if isinstance(packet, str) else packet.decode("utf-8", "replace")
    _, found, rest = text.partition(f"{_XMP_ATTRIBUTE}=")
    if not found or not rest:
        return ""
    value, _, _ = rest[1:].partition(rest[0])
    return unescape(value, {"&quot;": '"', "&#10;": "\n", "&#13;": "\r", "&#9;": "\t"})


def _json(record: ParametersRecord) -> str:
    return json.dumps(record, separators=(",", ":"), sort_keys=True)  # ASCII: every container can hold it
