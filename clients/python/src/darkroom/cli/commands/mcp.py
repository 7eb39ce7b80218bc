"""darkroom mcp: an MCP server for assistants."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from darkroom.async_client import AsyncClient
from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.folders import prepare_folder
from darkroom.cli.options import async_client_of, with_options


@with_options(client=async_client_of)
def mcp(
    *,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Save finished images in this folder, too.")
    ] = None,
    client: AsyncClient,
) -> None:
    """Serve image generation to assistants over MCP.

    Assistants start this command themselves, and use its standard input and output.
    """
    if find_spec("mcp") is None:
        typer.echo("darkroom: the package mcp is missing; install the SDK with its extra: [mcp]", err=True)
        raise typer.Exit(ExitCode.REFUSED)
    from darkroom.mcp_server import mcp_server  # noqa: PLC0415 (an optional package)

    if to is not None:
        prepare_folder(to)
    mcp_server(client, to).run()
