"""The pages behind a link: the picture with its prompt, and refusals. They contain no script.

Every value is escaped where a page is built.
"""

import base64
import hashlib
from datetime import datetime
from html import escape
from string import Template

from frontend_api.shares.shares import SharedPicture

_TITLE_CHARACTERS = 80
_STYLE = """\
:root {
  color-scheme: light dark;
  --ground: light-dark(#f5f1ea, #14100f);
  --ink: light-dark(#221b18, #f4ece5);
  --muted: light-dark(#655950, #b9aaa1);
  --accent: light-dark(#a8231b, #ff6a55);
}
body {
  max-width: 64rem;
  margin: 0 auto;
  padding: 1.5rem 1rem;
  background: var(--ground);
  color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
figure { margin: 0; }
img { display: block; max-width: 100%; max-height: 80vh; width: auto; height: auto; margin: 0 auto; }
figcaption, h1 { font: 400 1.25rem/1.45 ui-serif, Georgia, serif; }
figcaption { margin: 1.25rem 0; white-space: pre-line; overflow-wrap: anywhere; unicode-bidi: isolate; }
p { color: var(--muted); font-size: 0.9375rem; }
a { color: var(--accent); }
"""
_STYLE_SHA256 = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self'",
        f"style-src 'sha256-{_STYLE_SHA256}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page's Content-Security-Policy: its picture, its icon and its style, nothing else."""
_FRAME = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<link rel="icon" type="image/svg+xml" href="../favicon.svg">
<title>$title</title>
$head<style>$style</style>
</head>
<body>
<main>
$body</main>
</body>
</html>
""")
_PREVIEW = Template("""\
<meta property="og:type" content="website">
<meta property="og:site_name" content="darkroom">
<meta property="og:title" content="$title">
<meta property="og:image" content="$image">
<meta property="og:image:type" content="$type">
<meta property="og:image:width" content="$width">
<meta property="og:image:height" content="$height">
<meta name="twitter:card" content="summary_large_image">
""")
"""What messengers show of a link (https://ogp.me). The address of the picture must be absolute."""
_PICTURE = Template("""\
<figure>
<img src="$image" width="$width" height="$height" alt="The shared picture">
<figcaption dir="auto">$prompt</figcaption>
</figure>
<p><a href="$image" download>Download</a> · This link works until <time datetime="$iso">$until</time>.</p>
""")
_REFUSAL = Template("""\
<h1>$title</h1>
<p>$text</p>
""")


def picture_page(picture: SharedPicture, *, address: str) -> str:
    """Return the page of a picture. `address` is its absolute URL."""
    image, title = picture.image, _shortened(picture.prompt)
    size = {"width": image.width, "height": image.height}
    preview = _filled(_PREVIEW, title=title, image=f"{address}/image", type=image.content_type, **size)
    body = _filled(
        _PICTURE,
        # Relative to the page, because a proxy may add a path.
        image=f"{address.rpartition('/')[2]}/image",
        prompt=picture.prompt,
        until=_written(picture.expires_at),
        iso=picture.expires_at.isoformat(),
        **size,
    )
    return _page(title, head=preview, body=body)


def not_found_page() -> str:
    """Return the page of every link that shows nothing, whatever the reason."""
    return _refusal("No picture here", "The link is wrong, has expired or was revoked.")


def too_many_requests_page() -> str:
    return _refusal("Too many requests", "Try again in a minute.")


def _refusal(title: str, text: str) -> str:
    return _page(title, head="", body=_filled(_REFUSAL, title=title, text=text))


def _page(title: str, *, head: str, body: str) -> str:
    """Put parts that are HTML already into a page."""
    return _FRAME.substitute(title=escape(title), head=head, style=_STYLE, body=body)


def _filled(template: Template, **values: object) -> str:
    return template.substitute({name: escape(str(value)) for name, value in values.items()})


def _shortened(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= _TITLE_CHARACTERS else f"{line[: _TITLE_CHARACTERS - 1]}…"


def _written(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
