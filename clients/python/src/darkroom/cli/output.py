"""Output of the commands: tables, JSON, warnings, and one operation on many ids."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import typer

from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.errors import ClientError, printable
from darkroom.models.record import Record
from darkroom.models.task import TaskWarning

_Result = TypeVar("_Result")
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def one_line(text: str, *, at_most: int) -> str:
    """Return the beginning of a text on one line."""
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= at_most else f"{flat[: at_most - 1]}…"


def counted(number: int, noun: str) -> str:
    """Format a number of things: `1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def age(timestamp: datetime, now: datetime) -> str:
    """Format the time since a timestamp in its largest unit."""
    passed = now - timestamp
    for name, unit in _UNITS:
        if passed >= unit:
            return f"{passed // unit} {name} ago"
    return f"{max(0, int(passed.total_seconds()))} s ago"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table. Each column is as wide as its longest cell; line breaks in cells are escaped."""
    lines = [[cell.replace("\n", r"\n") for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def facts(values: Mapping[str, str]) -> str:
    """Format names and values; control characters are escaped, and further lines of a value are indented."""
    names = [printable(name) for name in values]
    width = max(map(len, names))
    texts = [printable(value).replace("\n", f"\n{'':{width}}  ") for value in values.values()]
    return "\n".join(f"{name:<{width}}  {text}" for name, text in zip(names, texts, strict=True))


def plain(record: Record) -> dict[str, Any]:
    """Return a record as the API sent it, including unknown fields."""
    return record.model_dump(mode="json", by_alias=True, exclude_unset=True)


def print_json(value: Any) -> None:
    """Print a JSON value, indented."""
    typer.echo(_as_json(value, indent=2))


def print_record(record: Record) -> None:
    """Print one JSON object, indented."""
    print_json(plain(record))


def print_records(records: Iterable[Record]) -> None:
    """Print a JSON array of objects, indented."""
    print_json([plain(record) for record in records])


def print_created(record: Record, text: str, *, note: str, as_json: bool) -> None:
    """Print a created record as JSON, or its text that is not shown again, and a note to standard error."""
    if as_json:
        print_record(record)
        return
    typer.echo(printable(text))
    typer.echo(note, err=True)


def print_json_line(record: Record) -> None:
    """Print one JSON object on one line."""
    typer.echo(_as_json(plain(record)))


def _as_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in which control characters are escaped, also those that JSON permits in texts."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def print_listing(
    records: Sequence[Record],
    heads: Sequence[str],
    row: Callable[[Any], Sequence[str]],
    *,
    limit: int | None = None,
    empty: str,
    as_json: bool,
) -> None:
    """Print the records as JSON or as a table; with `limit` the first ones, and whether there are more."""
    if as_json:
        print_records(records[:limit])
    elif not records:
        typer.echo(empty)
    else:
        typer.echo(table(heads, [row(record) for record in records[:limit]]))
        if limit is not None and len(records) > limit:
            typer.echo(f"Only the first {limit} are shown: increase --limit to see more.", err=True)


def warning_facts(warnings: Sequence[TaskWarning]) -> dict[str, str]:
    """Return the warnings of a task as rows of `facts`."""
    return {
        f"warning {number}": f"{warning.detail} ({warning.code})"
        for number, warning in enumerate(warnings, start=1)
    }


def print_warnings(warnings: Sequence[TaskWarning], *, line: int | None = None) -> None:
    """Print one line per warning to standard error. `line` is the line number in a batch file."""
    prefix = "" if line is None else f"Line {line}: "
    for warning in warnings:
        typer.echo(f"{prefix}Warning: {printable(warning.detail)} ({printable(warning.code)})", err=True)


def for_each(ids: Iterable[str], operation: Callable[[str], _Result]) -> tuple[list[_Result], ExitCode]:
    """Apply the operation to each id and print refusals, which do not stop the others.

    Returns the results of the successful ones, and the exit code.
    """
    results, code = [], ExitCode.SUCCESS
    for each in ids:
        try:
            results.append(operation(each))
        except ClientError as error:
            code = _print_refusal(each, error)
    return results, code


def succeeded(outcomes: Mapping[str, _Result | ClientError]) -> tuple[dict[str, _Result], ExitCode]:
    """Print the errors of a call for many ids. Return the other results, and the exit code."""
    results, code = {}, ExitCode.SUCCESS
    for each, outcome in outcomes.items():
        if isinstance(outcome, ClientError):
            code = _print_refusal(each, outcome)
        else:
            results[each] = outcome
    return results, code


def _print_refusal(each: str, error: ClientError) -> ExitCode:
    typer.echo(f"{printable(each)}: {error}", err=True)
    return exit_code_of(error)


def delete_each(
    ids: Iterable[str], delete: Callable[[str], None], *, name: str, message: str, as_json: bool
) -> None:
    """Delete each id, print the deleted ones, and exit with the code of a refusal.

    `name` is the name of the list in the JSON output, `message` the line for each id.
    """

    def deleted_id(each: str) -> str:
        delete(each)
        return each

    deleted, code = for_each(ids, deleted_id)
    print_deleted(deleted, code, name=name, message=message, as_json=as_json)


def print_deleted(deleted: Sequence[str], code: ExitCode, *, name: str, message: str, as_json: bool) -> None:
    """Print the deleted ids, and exit with the code of a refusal."""
    if as_json:
        print_json({name: deleted})
    else:
        for each in deleted:
            typer.echo(message.format(printable(each)))
    exit_with(code)


def exit_with(code: ExitCode) -> None:
    """Exit with the code unless it is SUCCESS."""
    if code is not ExitCode.SUCCESS:
        raise typer.Exit(code)
