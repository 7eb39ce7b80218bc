"""Images in the results of MCP tools."""

import base64
import dataclasses
import io
import random
import zlib
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client as McpClient
from PIL import Image, UnidentifiedImageError

from darkroom import AsyncClient
from darkroom.image_files import ImageFile
from darkroom.mcp_server import mcp_server, shown
from darkroom.models.task import StoredImage
from scripted import URL, reply, step

NOISE = Image.frombytes("RGB", (256, 256), random.Random(0).randbytes(3 * 256 * 256))


def image_file(kind: str) -> ImageFile:
    file = io.BytesIO()
    NOISE.save(file, kind)
    stored: dict[str, Any] = {
        "index": 0, "url": "/", "width": 256, "height": 256, "seed": 1, "content_type": f"image/{kind}",
        "size_bytes": 1, "sha256": "ab",
    }  # fmt: skip
    stored_image = StoredImage.model_validate(stored)
    return ImageFile(task_id="task-1", stored=stored_image, content=file.getvalue())


def test_small_image_is_returned_unchanged() -> None:
    file = image_file("png")
    content = shown(file, len(file.content)).to_image_content()
    assert (content.mime_type, base64.b64decode(content.data)) == ("image/png", file.content)


@pytest.mark.parametrize(("kind", "side"), [("avif", 256), ("png", 128)])
def test_other_image_becomes_a_jpeg_within_the_limit(kind: str, side: int) -> None:
    limit = 60_000 if kind == "avif" else 20_000
    content = shown(image_file(kind), limit).to_image_content()
    data = base64.b64decode(content.data)
    with Image.open(io.BytesIO(data)) as opened:
        assert (content.mime_type, opened.format, opened.size) == ("image/jpeg", "JPEG", (side, side))
    assert len(data) <= limit


@pytest.mark.parametrize("content", [b"%PDF-1.4", b"<h1>Sign in</h1>"])
def test_file_of_another_format_is_not_shown_whatever_its_type(content: bytes) -> None:
    image = dataclasses.replace(image_file("png"), content=content)
    with pytest.raises(UnidentifiedImageError, match="image 0 of task task-1"):
        shown(image, len(content))


def test_preview_that_is_no_jpeg_is_left_out() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=previews[0]) if "previews" in request.url.path else reply(step(1))

    async def call() -> list[str]:
        async with McpClient(
            mcp_server(AsyncClient(URL, transport=httpx.MockTransport(respond)), None)
        ) as client:
            result = await client.call_tool("status", {"task_id": "task-1", "wait_seconds": 0})
            return [content.type for content in result.content]

    jpeg = io.BytesIO()
    NOISE.save(jpeg, "JPEG")
    previews = [jpeg.getvalue()]
    assert anyio.run(call) == ["text", "image"]
    previews = [b"<h1>Sign in</h1>"]
    assert anyio.run(call) == ["text"]


def test_image_that_cannot_be_decoded_is_named() -> None:
    end = -12  # the length of the last chunk; Pillow raises IndexError for a profile that is empty
    png = image_file("png").content
    damaged = png[:end] + b"\0\0\0\0iCCP" + zlib.crc32(b"iCCP").to_bytes(4, "big") + png[end:]
    image = dataclasses.replace(image_file("png"), content=damaged)
    with pytest.raises(UnidentifiedImageError, match="image 0 of task task-1"):
        shown(image, len(damaged) - 1)
