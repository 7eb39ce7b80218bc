"""Images in a terminal: the supported terminals, and the bytes they receive."""

import base64
import io
import re

import pytest
from PIL import Image, UnidentifiedImageError
from rich.console import Console

from darkroom.cli import live_view
from darkroom.cli.live_view import LiveView
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


@pytest.mark.parametrize("protocol", ImageProtocol)
@pytest.mark.parametrize("content", [encoded("GIF"), encoded("BMP"), b"%!PS-Adobe-3.0 EPSF-3.0", b"%PDF-1.4"])
def test_other_formats_are_not_decoded(protocol: ImageProtocol, content: bytes) -> None:
    """Pillow starts a program to decode some of them, and so may a terminal."""
    with pytest.raises(UnidentifiedImageError):
        draw_above(protocol, content, rows=10)


def test_picture_that_cannot_be_shown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("TERM_PROGRAM", raising=False)
    written = io.StringIO()
    monkeypatch.setattr(
        live_view, "Console", lambda **_: Console(file=written, force_terminal=True, height=40)
    )
    with LiveView(preview=True) as view:
        assert view.shows_images
        view.show_image(encoded("BMP"))
        view.show_image(encoded("AVIF")[:-20])
        assert "\x1b_G" not in written.getvalue()
        view.show_image(encoded("PNG"))
        assert "\x1b_G" in written.getvalue()
