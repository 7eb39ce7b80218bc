"""The options that every command has."""

from typing import Annotated

import typer

DEFAULT_URL = "http://localhost:8080"

UrlOption = Annotated[str, typer.Option("--url", envvar="DARKROOM_URL", help="Where darkroom is.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="DARKROOM_TOKEN",
        help="Who you are: a Firebase ID token, or a service account's OIDC token. The local stack needs none.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
