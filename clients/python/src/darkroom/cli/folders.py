"""The folder for images, checked before a task is submitted."""

import tempfile
from pathlib import Path

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.errors import printable


def prepare_folder(folder: Path) -> None:
    """Create the folder if it is missing. Exits if no file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.NamedTemporaryFile(dir=folder, prefix=".darkroom-").close()
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is not a folder" if is_file else (error.strerror or str(error)).lower()
        typer.echo(f"darkroom: {printable(str(folder))}: images cannot be saved here: {reason}", err=True)
        raise typer.Exit(ExitCode.REFUSED) from error
