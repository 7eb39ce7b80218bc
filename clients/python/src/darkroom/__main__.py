"""The `darkroom` command line. Register new commands here; their modules are in `cli/commands/`."""

import io
import sys
from importlib import metadata
from typing import Annotated

import typer

from darkroom.cli.commands import (
    account,
    dead_letters,
    doctor,
    inputs,
    mcp,
    models,
    shares,
    submissions,
    tasks,
    verification,
    webhooks,
)
from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.cli.options import ApiKeyOption, TokenOption, UrlOption
from darkroom.cli.prompt_command import PromptCommand
from darkroom.credentials import URL_VARIABLE
from darkroom.errors import ClientError, UnreachableError, printable

app = typer.Typer(
    help="Generate images with darkroom.",
    epilog="Exit codes: " + "; ".join(f"{code.value}: {code.meaning}" for code in ExitCode) + ".",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut long names at 80 columns
)
app.command(cls=PromptCommand)(submissions.generate)
app.command(cls=PromptCommand)(submissions.submit)
app.command()(inputs.upload)
app.command()(submissions.watch)
app.command(cls=PromptCommand)(models.estimate)
app.command("list")(tasks.list_tasks)
app.command()(tasks.show)
app.command()(tasks.cancel)
app.command()(tasks.retry)
app.command()(tasks.label)
app.command()(tasks.delete)
app.command()(tasks.download)
app.command()(verification.verify)
app.command()(models.models)
app.command()(account.queue)
app.command()(account.usage)
app.command()(doctor.doctor)
app.command()(mcp.mcp)
app.add_typer(account.keys, name="keys")
app.add_typer(shares.app, name="shares")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(dead_letters.app, name="dead-letters")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"darkroom {metadata.version('darkroom-client')}")
        raise typer.Exit


@app.callback()
def _options_before_the_command(
    *,
    url: UrlOption = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """`client_of` reads these values."""


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
        reason = (error.strerror or str(error)).lower()
        file = "" if error.filename is None else f"{printable(str(error.filename))}: "
        typer.echo(f"darkroom: {file}{reason}", err=True)
        sys.exit(ExitCode.REFUSED)


if __name__ == "__main__":
    main()
