"""PublicAddress: where callers reach the API. A proxy may offer it below a path of its own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from flask import Flask

_WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAddress:
    """By default, callers reach the API at the root of any host."""

    origin: str | None = None
    """Scheme and host, such as `https://example.com`; None: those of each request."""
    base_path: str = ""
    """The path before each path of the API, such as `/pictures`; empty at the root."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read an http(s) URL such as `https://example.com/pictures/`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http(s) URL with a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must have no user, query or fragment")
        path = parts.path.rstrip("/")
        if not path.isascii() or not path.isprintable() or {"", ".", ".."} & set(path.split("/")[1:]):
            raise ValueError("must have a path of plain segments")
        _ = parts.port  # raises ValueError for an invalid one
        return cls(origin=f"{parts.scheme}://{parts.netloc.lower()}", base_path=path)

    @property
    def host(self) -> str | None:
        """The host name, without a port."""
        return None if self.origin is None else urlsplit(self.origin).hostname

    def own_path(self, path: str) -> str:
        """Return a path without the base path, which the proxy may have removed already."""
        is_below = path == self.base_path or path.startswith(f"{self.base_path}/")
        return path[len(self.base_path) :] if is_below else path


def mount(app: Flask, address: PublicAddress) -> None:
    """Serve the app below the base path, and at the root for callers on its own side of the proxy."""
    inner: _WsgiApp = app.wsgi_app

    def mounted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = address.base_path
        environ["PATH_INFO"] = address.own_path(environ.get("PATH_INFO", ""))
        if not environ["PATH_INFO"]:  # the page's relative links need the slash
            start_response("308 Permanent Redirect", [("Location", f"{address.base_path}/")])
            return []
        return inner(environ, start_response)

    app.wsgi_app = mounted  # type: ignore[method-assign]
