"""The output of `--json`: the API's objects, indented, or one per line in a stream."""

import json
from collections.abc import Iterable
from typing import Any

import typer

from darkroom.models.record import Record


def plain(record: Record) -> dict[str, Any]:
    """Return a record as the API sent it, including unknown fields."""
    return record.model_dump(mode="json", by_alias=True, exclude_unset=True)


def print_record(record: Record) -> None:
    """Print one object."""
    print_json(plain(record))


def print_records(records: Iterable[Record]) -> None:
    """Print an array of objects."""
    print_json([plain(record) for record in records])


def print_json(value: Any) -> None:
    """Print any JSON value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_line(record: Record) -> None:
    """Print one object on one line."""
    typer.echo(json.dumps(plain(record), ensure_ascii=False))
