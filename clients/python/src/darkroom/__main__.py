"""The `darkroom` command line. Register new commands here; their modules are in `cli/`."""

import io
import sys

import typer

from darkroom.cli import account, dead_letters, models, submissions, tasks, verification
from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.credentials import URL_VARIABLE
from darkroom.errors import ClientError, UnreachableError

app = typer.Typer(
    help="Generate images with darkroom.",
    epilog="Exit codes: " + "; ".join(f"{code.value}: {code.meaning}" for code in ExitCode) + ".",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(submissions.generate)
app.command()(submissions.submit)
app.command()(submissions.watch)
app.command()(models.estimate)
app.command("list")(tasks.list_tasks)
app.command()(tasks.show)
app.command()(tasks.cancel)
app.command()(tasks.retry)
app.command()(tasks.delete)
app.command()(tasks.download)
app.command()(verification.verify)
app.command()(models.models)
app.command()(account.queue)
app.command()(account.usage)
app.add_typer(account.keys, name="keys")
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> None:
    """Run a command and print expected errors in a few lines, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not every terminal can encode every prompt
    try:
        app(prog_name="darkroom")
    except ClientError as error:
        typer.echo(f"darkroom: {error}", err=True)
        if isinstance(error, UnreachableError):
            typer.echo(
                f"  Is darkroom running there? Set another address with --url or {URL_VARIABLE}.", err=True
            )
        sys.exit(exit_code_of(error))
    except UnicodeEncodeError:
        typer.echo("darkroom: the command line is not valid Unicode", err=True)
        sys.exit(ExitCode.USAGE)
    except OSError as error:
        typer.echo(f"darkroom: {error}", err=True)
        sys.exit(ExitCode.REFUSED)


if __name__ == "__main__":
    main()
