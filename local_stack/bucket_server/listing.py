"""Listing of a bucket's objects with prefix, delimiter and pages, as in the JSON API."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from local_stack.bucket_server.records import ObjectRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page. Objects and prefixes both count towards its size."""

    objects: tuple[ObjectRecord, ...]
    prefixes: tuple[str, ...]
    next_token: str | None


def page_of(
    objects: Iterable[ObjectRecord],
    *,
    prefix: str,
    delimiter: str,
    token: str | None,
    size: int,
    start: str = "",
    end: str = "",
) -> Page:
    """Return a page. `objects` must be sorted by name.

    `start` is inclusive, `end` exclusive; empty means unbounded.
    """
    after = base64.urlsafe_b64decode(token.encode()).decode() if token else ""
    entries: dict[str, ObjectRecord | None] = {}
    for record in objects:
        if not record.name.startswith(prefix) or record.name < start or (end and record.name >= end):
            continue
        shared = _shared_prefix(record.name, prefix, delimiter)
        if (shared or record.name) > after:
            entries[shared or record.name] = None if shared else record
    chosen = list(entries.items())[:size]
    return Page(
        objects=tuple(record for _, record in chosen if record is not None),
        prefixes=tuple(name for name, record in chosen if record is None),
        next_token=base64.urlsafe_b64encode(chosen[-1][0].encode()).decode() if len(entries) > size else None,
    )


def _shared_prefix(name: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter:
        return None
    end = name.find(delimiter, len(prefix))
    return None if end < 0 else name[: end + len(delimiter)]
