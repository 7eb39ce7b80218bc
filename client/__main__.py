"""The command line: darkroom dead-letters list | show | replay | purge. New commands are added here, one file each."""

import sys

import typer

from client import dead_letters
from client.errors import ClientError

app = typer.Typer(
    help="darkroom from a terminal. The address comes from --url or DARKROOM_URL.",
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
        sys.exit(f"darkroom: {error}")


if __name__ == "__main__":
    main()
