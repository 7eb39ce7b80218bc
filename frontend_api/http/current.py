"""The packages that serve the current request: `current(Tasks).submit(…)`."""

from collections.abc import Iterable
from typing import TypeVar, cast

from flask import Flask, current_app

_EXTENSION = "darkroom.packages"
_Package = TypeVar("_Package")


def provide(app: Flask, packages: Iterable[object]) -> None:
    """Make packages available to the routes of an app, one of each type."""
    app.extensions[_EXTENSION] = {type(package): package for package in packages}


def current(package: type[_Package]) -> _Package:
    """Return the current app's package of this type."""
    return cast("_Package", current_app.extensions[_EXTENSION][package])
