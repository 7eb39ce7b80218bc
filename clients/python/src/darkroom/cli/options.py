"""Options that several commands share: address, credentials, parameters, timeouts."""

import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.async_client import AsyncClient
from darkroom.credentials import API_KEY_VARIABLE, DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE
from darkroom.retrying import RetryPolicy
from darkroom.submission import SubmissionFields
from darkroom.sync_client import Client

_RETRIES = RetryPolicy(max_retries=2)
"""Fewer retries than in a program: a mistyped address should fail soon."""


def _finite(number: float | None) -> float | None:
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter("must be a finite number")
    return number


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of results.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
TaskIdArgument = Annotated[str, typer.Argument(metavar="ID", help="A task id, as `list` prints it.")]
TaskIdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="Task ids, as `list` prints them.")
]
PromptArgument = Annotated[str, typer.Argument(metavar="PROMPT", help="Description of the image.")]
PromptOrNoneArgument = Annotated[
    str | None, typer.Argument(metavar="PROMPT", help="Description of the image.")
]
BatchOption = Annotated[
    typer.FileText | None,
    typer.Option(
        "--batch",
        encoding="utf-8",
        errors="surrogateescape",  # invalid UTF-8 is reported with its line number
        metavar="FILE",
        help="Submit the tasks of a file with one JSON object per line: `prompt` and any other fields. The "
        "other options are the defaults for missing fields. - reads standard input.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Idempotency key: repeating a request with its key creates no second task. Default: a new key.",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0.0,
        callback=_finite,
        metavar="SECONDS",
        help="Stop waiting after this time. The task continues.",
    ),
]
CancelOption = Annotated[
    bool, typer.Option("--cancel-on-interrupt", help="Cancel the task on Ctrl-C. By default it continues.")
]
PreviewOption = Annotated[
    bool, typer.Option(help="Show previews in terminals that can show images (iTerm2, kitty).")
]
UrlOption = Annotated[
    str | None, typer.Option(help=f"Address of the API. Default: {URL_VARIABLE}, then {DEFAULT_URL}.")
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        help="Firebase ID token, or OIDC token of a service account. "
        f"Default: {TOKEN_VARIABLE}. The local stack needs none."
    ),
]
ApiKeyOption = Annotated[str | None, typer.Option(help=f"API key. Default: {API_KEY_VARIABLE}.")]
FolderOption = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Folder for the images.")]


def client_of(
    *,
    ctx: typer.Context,
    url: UrlOption = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> Client:
    """Build the client from the options, which may precede the command, too."""
    url, token, api_key = _address(ctx, url, token, api_key)
    return Client(url, token=token, api_key=api_key, retries=_RETRIES)


def async_client_of(
    *,
    ctx: typer.Context,
    url: UrlOption = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> AsyncClient:
    """Build the asynchronous client from the same options."""
    url, token, api_key = _address(ctx, url, token, api_key)
    return AsyncClient(url, token=token, api_key=api_key)


def _address(
    ctx: typer.Context, url: str | None, token: str | None, api_key: str | None
) -> tuple[str | None, str | None, str | None]:
    """Fill in the options before the command."""
    # The client reads the variables, so that a token or key option overrides both of them.
    first: dict[str, Any] = ctx.find_root().params
    if token is None and api_key is None:
        token, api_key = first.get("token"), first.get("api_key")
    return url or first.get("url"), token, api_key


def submission_fields(
    *,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model, as `models` prints.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What the image must not show.")] = None,
    prompt_syntax: Annotated[
        str | None,
        typer.Option(help="plain, or weighted: prompts with weights such as (word:1.3), and long prompts."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of denoising steps.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(callback=_finite, help="How closely the image follows the prompt.")
    ] = None,
    guidance_rescale: Annotated[
        float | None,
        typer.Option(callback=_finite, help="0 to 1: scale back guidance that overexposes the image."),
    ] = None,
    clip_skip: Annotated[int | None, typer.Option(help="Skip the text encoder's last layers.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed generates the same image.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Sampler; `models NAME` lists them.")] = None,
    eta: Annotated[
        float | None, typer.Option(callback=_finite, help="0 to 1: noise in each step of the sampler ddim.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Height in pixels.")] = None,
    num_images: Annotated[int | None, typer.Option(help="Number of images.")] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Picture to start from: a file, or the id of an upload."),
    ] = None,
    mask_image: Annotated[
        str | None,
        typer.Option(
            "--mask", "--mask-image", metavar="FILE", help="Mask of the picture: its white parts are redrawn."
        ),
    ] = None,
    control_image: Annotated[
        str | None,
        typer.Option(
            "--control",
            "--control-image",
            metavar="FILE",
            help="Control image, such as edges or a depth map.",
        ),
    ] = None,
    controlnet: Annotated[str | None, typer.Option(help="Control network; `models NAME` lists them.")] = None,
    control_scale: Annotated[
        float | None, typer.Option(callback=_finite, help="How strongly it steers the image: 0 to 2.")
    ] = None,
    reference_image: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "--reference-image",
            metavar="FILE",
            help="Picture whose content and style the image follows.",
        ),
    ] = None,
    ip_adapter: Annotated[str | None, typer.Option(help="IP-Adapter; `models NAME` lists them.")] = None,
    reference_scale: Annotated[
        float | None,
        typer.Option(callback=_finite, help="How closely the image follows the reference: 0 to 2."),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(callback=_finite, help="How far the picture is changed: above 0, at most 1."),
    ] = None,
    output_format: Annotated[str | None, typer.Option(help="png, jpeg, webp or avif.")] = None,
    output_quality: Annotated[
        int | None, typer.Option(help="1 to 100, for jpeg, webp and avif. WebP keeps every pixel at 100.")
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(help="full, or none: files without their parameters and record.")
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:SCALE]", help="LoRA; `models NAME` lists them. Repeatable."),
    ] = None,
    lane: Annotated[
        str | None, typer.Option(help="interactive, or batch for tasks that may wait longer.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Label of the task. Repeatable.")
    ] = None,
    deadline_seconds: Annotated[
        int | None, typer.Option(help="The task fails if no worker starts it within this time.")
    ] = None,
    callback_url: Annotated[str | None, typer.Option(help="URL that receives webhooks.")] = None,
    callback_event: Annotated[
        list[str] | None,
        typer.Option(metavar="EVENT", help="Event that triggers a webhook. Repeatable. Default: finished."),
    ] = None,
    callback_header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Header that the webhooks carry. Repeatable."),
    ] = None,
) -> SubmissionFields:
    """Build the submission fields. The API checks the limits."""
    return SubmissionFields(
        model=model,
        negative_prompt=negative_prompt,
        prompt_syntax=prompt_syntax,
        steps=steps,
        guidance_scale=guidance_scale,
        guidance_rescale=guidance_rescale,
        clip_skip=clip_skip,
        seed=seed,
        sampler=sampler,
        eta=eta,
        width=width,
        height=height,
        num_images=num_images,
        image=image,
        mask_image=mask_image,
        strength=strength,
        control_image=control_image,
        controlnet=controlnet,
        control_scale=control_scale,
        reference_image=reference_image,
        ip_adapter=ip_adapter,
        reference_scale=reference_scale,
        output_format=output_format,
        output_quality=output_quality,
        metadata=metadata,
        loras=[_lora(each) for each in lora] if lora else None,
        lane=lane,
        labels=pairs_of(label, "--label"),
        deadline_seconds=deadline_seconds,
        callback_url=callback_url,
        callback_events=callback_event or None,
        callback_headers=pairs_of(callback_header, "--callback-header"),
    )


def pairs_of(texts: list[str] | None, option: str) -> dict[str, str] | None:
    """Split each NAME=VALUE of a repeatable option; None without any.

    The refusal of another text does not repeat it: the value of a header may be secret.
    """
    pairs = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter("must be NAME=VALUE", param_hint=option)
        pairs[name] = value
    return pairs or None


def _lora(text: str) -> dict[str, Any]:
    name, colon, scale = text.partition(":")
    if not colon:
        return {"name": name}
    try:
        number = float(scale)
    except ValueError:
        number = math.nan
    if not name or not math.isfinite(number):
        raise typer.BadParameter(f"must be NAME or NAME:SCALE (got {text!r})", param_hint="--lora")
    return {"name": name, "scale": number}


def with_options(**makers: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command whose named parameters are built from the options of other functions.

    `@with_options(client=client_of)` adds all options of `client_of` to a command and passes the
    result as `client`. Context managers are entered, and exited when the command ends.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters.values()
        bundles = {name: inspect.signature(maker).parameters for name, maker in makers.items()}
        options = [option for option in own if option.name not in makers]
        options += [option for bundle in bundles.values() for option in bundle.values()]

        def run(**values: Any) -> None:
            with ExitStack() as exits:
                for name, bundle in bundles.items():
                    value = makers[name](**{option: values.pop(option) for option in bundle})
                    is_manager = isinstance(value, AbstractContextManager)
                    values[name] = exits.enter_context(value) if is_manager else value
                command(**values)

        # Typer reads the name, help and options of a command from these attributes.
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        named = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
        run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in named}
        return run

    return decorate
