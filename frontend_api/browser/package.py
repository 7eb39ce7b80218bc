"""The package as one record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """The browser client: the folder of its built files, and the content of `/config.json`.

    `connects_to` and `images_from` are the origins, besides this one, that the page may use.
    """

    folder: Path
    config: Mapping[str, Any]
    connects_to: tuple[str, ...] = ()
    images_from: tuple[str, ...] = ()
    signs_in_at: str | None = None
    """The origin of Firebase's frame for signing in; None: the page does not sign in."""
