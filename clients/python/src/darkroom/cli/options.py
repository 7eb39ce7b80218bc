"""Options that many commands share: address, credentials, parameters, timeouts."""

import math
from pathlib import Path
from typing import Annotated

import typer

from darkroom.credentials import API_KEY_VARIABLE, DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE
from darkroom.retrying import RetryPolicy
from darkroom.submission import SubmissionFields
from darkroom.sync_client import Client

_PATIENCE = RetryPolicy(max_retries=2)
"""Fewer retries than in a program: a mistyped address should fail soon."""


def _finite(number: float | None) -> float | None:
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter("must be a finite number")
    return number


JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
TaskIdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]
TaskIdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` shows them.")]
PromptArgument = Annotated[str, typer.Argument(help="What to draw.")]
PromptOrNoneArgument = Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="What to draw.")]
BatchOption = Annotated[
    typer.FileText | None,
    typer.Option(
        "--batch",
        encoding="utf-8",
        errors="surrogateescape",  # invalid UTF-8 is reported with its line number
        metavar="FILE",
        help="Submit many: a JSON object in each line, with a prompt and any other fields; what a line leaves "
        "out is as the other options say. - is standard input.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="KEY", help="The same key and request always lead to one task; made up if left out."
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0.0, metavar="SECONDS", help="Wait no longer. The task goes on."),
]
CancelOption = Annotated[
    bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C cancels the task; else the task goes on.")
]
PreviewOption = Annotated[
    bool, typer.Option(help="Show the picture as it emerges, where the terminal can (iTerm2, kitty).")
]
FolderOption = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where the images are written.")]


def client_of(
    *,
    url: Annotated[
        str | None, typer.Option(help=f"Where darkroom is; else {URL_VARIABLE}, else {DEFAULT_URL}.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Who you are: a Firebase ID token, or a service account's OIDC token; "
            f"else {TOKEN_VARIABLE}. The local stack needs none."
        ),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help=f"Who you are, by an API key; else {API_KEY_VARIABLE}.")
    ] = None,
) -> Client:
    """Build the client from the options."""
    # The client reads the variables, so that a token or key option overrides both of them.
    return Client(url, token=token, api_key=api_key, retries=_PATIENCE)


def submission_fields(
    *,
    model: Annotated[str | None, typer.Option("--model", "-m", help="One that `models` lists.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to keep out of the picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(callback=_finite, help="How closely to follow the prompt.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same picture.")] = None,
    sampler: Annotated[str | None, typer.Option(help="One that the model offers.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    num_images: Annotated[int | None, typer.Option(help="How many images to draw.")] = None,
    output_format: Annotated[str | None, typer.Option(help="png, jpeg or webp.")] = None,
    lane: Annotated[str | None, typer.Option(help="interactive: somebody waits; batch: nobody does.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A note of your own; any number of them.")
    ] = None,
    deadline_seconds: Annotated[
        int | None, typer.Option(help="Give up if no worker has started by then.")
    ] = None,
    callback_url: Annotated[str | None, typer.Option(help="Where webhooks are sent.")] = None,
    callback_event: Annotated[
        list[str] | None, typer.Option(metavar="EVENT", help="Which webhooks are sent; finished if left out.")
    ] = None,
) -> SubmissionFields:
    """Build the submission fields. The API checks the limits."""
    return SubmissionFields(
        model=model,
        negative_prompt=negative_prompt,
        steps=steps,
        guidance_scale=guidance_scale,
        seed=seed,
        sampler=sampler,
        width=width,
        height=height,
        num_images=num_images,
        output_format=output_format,
        lane=lane,
        labels=dict(_label(each) for each in label) if label else None,
        deadline_seconds=deadline_seconds,
        callback_url=callback_url,
        callback_events=callback_event or None,
    )


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"a label is NAME=VALUE, got {text!r}", param_hint="--label")
    return name, value
