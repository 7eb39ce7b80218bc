"""darkroom upload: pictures for tasks to start from."""

from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.options import JsonOption, client_of, with_options
from darkroom.cli.output import print_records
from darkroom.errors import printable
from darkroom.sync_client import Client


@with_options(client=client_of)
def upload(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="PNG, JPEG or WebP files.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Upload pictures and print their ids.

    `--image` and `--mask` take such ids. `generate` and `submit` upload files by themselves.
    """
    stored = [client.upload(file) for file in files]
    if as_json:
        print_records(stored)
        return
    for each in stored:
        typer.echo(printable(each.id))
