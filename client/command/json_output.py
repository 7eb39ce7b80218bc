"""What `--json` prints: the API's own objects, indented, or one to a line where they come one by one."""

import json
from collections.abc import Iterable
from typing import Any

import typer

from client.record import Record


def plain(record: Record) -> dict[str, Any]:
    """A record as the API wrote it, fields that this version does not know included."""
    return record.model_dump(mode="json", by_alias=True, exclude_unset=True)


def print_record(record: Record) -> None:
    """One object."""
    print_json(plain(record))


def print_records(records: Iterable[Record]) -> None:
    """An array of objects."""
    print_json([plain(record) for record in records])


def print_json(value: Any) -> None:
    """Anything that JSON can say."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_line(record: Record) -> None:
    """One object on one line, at once."""
    typer.echo(json.dumps(plain(record), ensure_ascii=False))
