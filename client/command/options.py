"""The options that every command has, and the client that they describe."""

from typing import Annotated

import typer

from client.credentials import API_KEY_VARIABLE, DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE
from client.retrying import RetryPolicy
from client.sync_client import Client

_PATIENCE = RetryPolicy(max_retries=2)
"""Less than a program's: a person who mistyped an address wants to know."""

# The variables are read by the client: an option of either kind then beats both variables of who is calling.
UrlOption = Annotated[
    str | None, typer.Option("--url", help=f"Where darkroom is; else {URL_VARIABLE}, else {DEFAULT_URL}.")
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="Who you are: a Firebase ID token, or a service account's OIDC token; "
        f"else {TOKEN_VARIABLE}. The local stack needs none.",
    ),
]
ApiKeyOption = Annotated[
    str | None, typer.Option("--api-key", help=f"Who you are, by an API key; else {API_KEY_VARIABLE}.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


def client_of(url: str | None, token: str | None, api_key: str | None) -> Client:
    """The client that the options describe."""
    return Client(url, token=token, api_key=api_key, retries=_PATIENCE)
