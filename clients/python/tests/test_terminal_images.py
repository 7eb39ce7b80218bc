"""Images in a terminal: the supported terminals, and the bytes they receive."""

import base64
import io
import re

import pytest
from PIL import Image

from darkroom.cli.terminal_images import ImageProtocol, draw_above, image_protocol


def encoded(kind: str, *, side: int = 8) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((side, side), 80).convert("RGB").save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM_PROGRAM": "iTerm.app"}, ImageProtocol.ITERM2),
        ({"TERM_PROGRAM": "WezTerm"}, ImageProtocol.ITERM2),
        ({"TERM": "xterm-kitty"}, ImageProtocol.KITTY),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, ImageProtocol.KITTY),
        ({"TERM_PROGRAM": "ghostty"}, ImageProtocol.KITTY),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/tmux"}, None),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, None),
    ],
)
def test_image_protocol_is_detected_from_the_environment(
    environment: dict[str, str], protocol: ImageProtocol | None
) -> None:
    assert image_protocol(environment) is protocol


def test_iterm2_receives_the_unchanged_file() -> None:
    jpeg = encoded("JPEG")
    sent = draw_above(ImageProtocol.ITERM2, jpeg, rows=14)
    found = re.fullmatch(
        r"\x1b7\x1b\[14A\r\x1b]1337;File=inline=1;size=(\d+);height=14;preserveAspectRatio=1:(.*)\x07\x1b8",
        sent,
    )
    assert found is not None
    assert (int(found[1]), base64.b64decode(found[2])) == (len(jpeg), jpeg)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_kitty_receives_a_png_in_chunks(kind: str) -> None:
    content = encoded(kind, side=128)
    sent = draw_above(ImageProtocol.KITTY, content, rows=10)
    assert sent.startswith("\x1b7\x1b[10A\r\x1b_Ga=T,f=100,i=1,p=1,r=10,C=1,q=2,m=1;")
    assert sent.endswith("\x1b\\\x1b8")
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", sent)
    assert len(pieces) > 2
    assert all(len(piece) <= 4_096 for _, piece in pieces)
    assert [keys[-1] for keys, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    png = base64.b64decode("".join(piece for _, piece in pieces))
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.size) == ("PNG", (128, 128))
