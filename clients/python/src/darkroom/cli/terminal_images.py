"""Images in a terminal, by iTerm2's inline images and kitty's graphics protocol.

https://iterm2.com/documentation-images.html, https://sw.kovidgoyal.net/kitty/graphics-protocol/
"""

import io
from base64 import standard_b64encode
from collections.abc import Mapping
from enum import Enum

from PIL import Image

from darkroom.image_files import FORMATS

_KITTY_CHUNK = 4_096
"""Characters; the protocol's limit for one escape sequence."""
_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"


class ImageProtocol(Enum):
    """The image protocol of a terminal."""

    ITERM2 = "iterm2"
    KITTY = "kitty"


def image_protocol(environment: Mapping[str, str]) -> ImageProtocol | None:
    """Detect the terminal's protocol. Multiplexers do not reveal the terminal behind them."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return None
    if program in ("iTerm.app", "WezTerm"):
        return ImageProtocol.ITERM2
    if term == "xterm-kitty" or "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return ImageProtocol.KITTY
    return None


def draw_above(protocol: ImageProtocol, content: bytes, *, rows: int) -> str:
    """Return the output that draws an image over the `rows` lines above the cursor.

    The cursor stays where it is. Raises one of UNREADABLE for a file of no known format: a terminal
    might decode it all the same.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        is_iterm2 = protocol is ImageProtocol.ITERM2
        drawn = _iterm2(content, rows) if is_iterm2 else _kitty(_as_png(image, content), rows)
    return f"{_SAVE_CURSOR}\x1b[{rows}A\r{drawn}{_RESTORE_CURSOR}"


def _iterm2(content: bytes, rows: int) -> str:
    encoded = standard_b64encode(content).decode()
    return f"\x1b]1337;File=inline=1;size={len(content)};height={rows};preserveAspectRatio=1:{encoded}\x07"


def _kitty(png: bytes, rows: int) -> str:
    encoded = standard_b64encode(png).decode()
    chunks = [encoded[start : start + _KITTY_CHUNK] for start in range(0, len(encoded), _KITTY_CHUNK)]
    # Reuse the image and placement number, so that each image replaces the previous one.
    options = f"a=T,f=100,i=1,p=1,r={rows},C=1,q=2,"
    return "".join(
        f"\x1b_G{options if number == 0 else ''}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    )


def _as_png(image: Image.Image, content: bytes) -> bytes:
    if image.format == "PNG":
        return content
    converted = io.BytesIO()
    image.save(converted, "PNG")
    return converted.getvalue()
