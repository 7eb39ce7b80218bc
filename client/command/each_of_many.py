"""One deed on many things: those that are refused do not hold up the others."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import typer

from client.command.exit_codes import ExitCode, exit_code_of
from client.errors import ClientError
from client.plain_text import printable

_Done = TypeVar("_Done")


def each(ids: Iterable[str], deed: Callable[[str], _Done]) -> tuple[list[_Done], ExitCode]:
    """What became of those that were not refused, and what to exit with. Refusals are told as they come."""
    done, code = [], ExitCode.DONE
    for one in ids:
        try:
            done.append(deed(one))
        except ClientError as error:
            typer.echo(f"{printable(one)}: {error}", err=True)
            code = exit_code_of(error)
    return done, code


def exit_with(code: ExitCode) -> None:
    """Leave, unless all is well."""
    if code is not ExitCode.DONE:
        raise typer.Exit(code)
