"""One operation on many ids: a refused one does not stop the others."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import typer

from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.errors import ClientError
from darkroom.plain_text import printable

_Done = TypeVar("_Done")


def each(ids: Iterable[str], deed: Callable[[str], _Done]) -> tuple[list[_Done], ExitCode]:
    """Apply the operation to each id and print refusals.

    Returns the results of the successful ones, and the exit code.
    """
    done, code = [], ExitCode.DONE
    for one in ids:
        try:
            done.append(deed(one))
        except ClientError as error:
            typer.echo(f"{printable(one)}: {error}", err=True)
            code = exit_code_of(error)
    return done, code


def exit_with(code: ExitCode) -> None:
    """Exit with the code unless it is DONE."""
    if code is not ExitCode.DONE:
        raise typer.Exit(code)
