"""The warnings of a task, as the command shows them."""

from collections.abc import Sequence

import typer

from darkroom.models.task import TaskWarning
from darkroom.plain_text import printable


def warning_facts(warnings: Sequence[TaskWarning]) -> dict[str, str]:
    """Return the warnings as rows of a table."""
    return {
        f"warning {number}": f"{warning.detail} ({warning.code})"
        for number, warning in enumerate(warnings, start=1)
    }


def print_warnings(warnings: Sequence[TaskWarning], *, line: int | None = None) -> None:
    """Print one line per warning to standard error. `line` is the line number in a batch file."""
    where = "" if line is None else f"Line {line}: "
    for warning in warnings:
        typer.echo(f"{where}Warning: {printable(warning.detail)} ({printable(warning.code)})", err=True)
