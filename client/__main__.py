"""The command line. New commands are added here, one file each in `command/`."""

import sys

import typer

from client.command import dead_letters
from client.command.exit_codes import ExitCode, exit_code_of
from client.credentials import URL_VARIABLE
from client.errors import ClientError, UnreachableError

app = typer.Typer(
    help="darkroom from a terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(dead_letters.app, name="dead-letters")


@app.callback()
def darkroom() -> None:
    """darkroom from a terminal."""


def main() -> None:
    """Run a command; what a person can mend is told in a few lines, without a traceback."""
    try:
        app(prog_name="darkroom")
    except ClientError as error:
        typer.echo(f"darkroom: {error}", err=True)
        if isinstance(error, UnreachableError):
            typer.echo(f"  Is darkroom running there? Another address: --url, or {URL_VARIABLE}.", err=True)
        sys.exit(exit_code_of(error))
    except OSError as error:
        typer.echo(f"darkroom: {error}", err=True)
        sys.exit(ExitCode.REFUSED)


if __name__ == "__main__":
    main()
