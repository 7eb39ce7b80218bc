"""Listing of a bucket's objects in pages, as in the JSON API."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from local_stack.bucket_server.records import ObjectRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    objects: tuple[ObjectRecord, ...]
    next_token: str | None


def page_of(objects: Iterable[ObjectRecord], *, prefix: str, token: str | None, size: int) -> Page:
    """Return the page after `token`. `objects` must be sorted by name."""
    after = base64.urlsafe_b64decode(token.encode()).decode() if token else ""
    found = [record for record in objects if record.name.startswith(prefix) and record.name > after]
    page = tuple(found[:size])
    next_token = base64.urlsafe_b64encode(page[-1].name.encode()).decode() if len(found) > size else None
    return Page(objects=page, next_token=next_token)
