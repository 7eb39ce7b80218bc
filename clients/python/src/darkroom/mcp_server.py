"""MCP server: offers image generation to assistants as tools. It needs the extra `mcp`."""

import io
import json
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ProgressNotification, ProgressNotificationParams, ToolAnnotations
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from pydantic import Field

from darkroom.async_client import AsyncClient
from darkroom.errors import ClientError, TaskDeletedError, printable
from darkroom.image_files import FORMATS, UNREADABLE, ImageFile, format_of
from darkroom.models.task import Task
from darkroom.submission import SubmissionFields

PREVIEW = "dev.darkroom/preview"
"""The key of a preview in `_meta` of a progress notification: a data URL of a small JPEG."""
MAX_RESULT_BYTES = 600_000
"""The most bytes of images in one result: assistants refuse results of about a megabyte in base64."""
_SHOWN_FORMATS = ("PNG", "JPEG", "WEBP")
_SMALLEST_SIDE = 64
_PREVIEW_SECONDS = 1.0
_CANCEL_SECONDS = 10.0
_DEFAULT_WAIT_SECONDS = 50.0
"""Below the minute after which many assistants abandon a call."""
_INSTRUCTIONS = (
    "Generates images from prompts. `generate` waits for the images; if its result says that the task is "
    "unfinished, call `status` with its task_id. Models differ in their limits: see `list_models`."
)
_Wait = Annotated[float, Field(ge=0, le=600, description="How long to wait for the images, in seconds.")]
_TaskId = Annotated[str, Field(description="The task_id of an earlier result.")]


def mcp_server(client: AsyncClient, folder: Path | None) -> MCPServer[None]:
    """Return a server whose tools call the API. Finished images are also saved in `folder`, if given."""

    @asynccontextmanager
    async def lifespan(_server: MCPServer[None]) -> AsyncIterator[None]:
        async with client:
            yield None

    server = MCPServer(
        "darkroom",
        instructions=_INSTRUCTIONS,
        version=metadata.version("darkroom-client"),
        log_level="WARNING",
        lifespan=lifespan,
    )
    tools = _Tools(client, folder)
    reads = ToolAnnotations(read_only_hint=True)
    server.add_tool(tools.generate, structured_output=False)
    server.add_tool(tools.status, annotations=reads, structured_output=False)
    server.add_tool(tools.cancel, structured_output=False)
    server.add_tool(tools.list_models, annotations=reads, structured_output=False)
    return server


class _Tools:
    """The tools. Their docstrings are the descriptions that an assistant reads."""

    def __init__(self, client: AsyncClient, folder: Path | None) -> None:
        self._client = client
        self._folder = folder

    async def generate(
        self,
        context: Context,
        *,
        prompt: Annotated[str, Field(description="Description of the image.")],
        negative_prompt: Annotated[str | None, Field(description="What the image must not show.")] = None,
        model: Annotated[str | None, Field(description="A name from list_models.")] = None,
        steps: Annotated[int | None, Field(description="Number of denoising steps.")] = None,
        guidance_scale: Annotated[
            float | None, Field(description="How closely the image follows the prompt.")
        ] = None,
        seed: Annotated[int | None, Field(description="The same seed generates the same image.")] = None,
        width: Annotated[int | None, Field(description="Width in pixels.")] = None,
        height: Annotated[int | None, Field(description="Height in pixels.")] = None,
        num_images: Annotated[int | None, Field(description="Number of images.")] = None,
        idempotency_key: Annotated[
            str | None, Field(description="Only to repeat a call whose error states a key.")
        ] = None,
        wait_seconds: _Wait = _DEFAULT_WAIT_SECONDS,
    ) -> list[Any]:
        """Generate images from a prompt and return them."""
        fields = SubmissionFields(
            negative_prompt=negative_prompt,
            model=model,
            steps=steps,
            guidance_scale=guidance_scale,
            seed=seed,
            width=width,
            height=height,
            num_images=num_images,
        )
        with _reported(), anyio.CancelScope(shield=True):
            # A stored task must be known, or it cannot be cancelled.
            task = await self._client.submit(prompt, idempotency_key=idempotency_key, **fields)
        with _reported(task):
            try:
                task = await self._followed(context, task, wait_seconds)
            except anyio.get_cancelled_exc_class():
                # Only this call wants the images.
                with anyio.move_on_after(_CANCEL_SECONDS, shield=True):
                    await self._client.cancel(task)
                raise
            return await self._result(task)

    async def status(
        self, context: Context, task_id: _TaskId, wait_seconds: _Wait = _DEFAULT_WAIT_SECONDS
    ) -> list[Any]:
        """Wait for a task, and return its status, and its finished images or a preview."""
        with _reported():
            task = await self._followed(context, await self._client.get(task_id), wait_seconds)
            return await self._result(task)

    async def cancel(self, task_id: _TaskId) -> list[Any]:
        """Cancel a task. Its finished images are kept."""
        with _reported():
            return [_summary(await self._client.cancel(task_id), [])]

    async def list_models(self) -> list[Any]:
        """List the models with their limits and defaults. The first one is the default."""
        with _reported():
            models = await self._client.models()
        names = {"name", "title", "description", "served", "max_prompt_tokens", "limits", "defaults"}
        return [json.dumps([model.model_dump(mode="json", include=names) for model in models])]

    async def _followed(self, context: Context, task: Task, wait_seconds: float) -> Task:
        """Report the progress of the task until it is finished, for at most `wait_seconds`."""
        progress = _Progress(context)
        with anyio.move_on_after(wait_seconds):
            async with aclosing(self._client.stream(task)) as snapshots:
                async for task in snapshots:  # noqa: PLR1704 (the latest snapshot is the result)
                    is_generating = task.progress.phase == "denoising"
                    wants_preview = is_generating and progress.wants_preview
                    await progress.report(task, await self._preview(task) if wants_preview else None)
        return task

    async def _preview(self, task: Task) -> bytes | None:
        """Return a preview, which is passed on as a JPEG, so any other file is left out."""
        preview = await self._client.preview(task)
        return preview if preview is not None and format_of(preview) == "JPEG" else None

    async def _result(self, task: Task) -> list[Any]:
        images = await self._client.images(task)
        files = [] if self._folder is None else [str(image.save(self._folder)) for image in images]
        preview = None if task.status.is_terminal or images else await self._preview(task)
        contents = [shown(image, MAX_RESULT_BYTES // len(images)) for image in images]
        if preview is not None:
            contents.append(Image(data=preview, format="jpeg"))
        return [_summary(task, files), *contents]


class _Progress:
    """Notifies the assistant of a task's progress, if requested. The value only grows."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token = (context.request_context.meta or {}).get("progress_token")
        self._reported = -1.0
        self._preview_at = 0.0

    @property
    def wants_preview(self) -> bool:
        return self._token is not None and time.monotonic() - self._preview_at >= _PREVIEW_SECONDS

    async def report(self, task: Task, preview: bytes | None) -> None:
        value = task.progress.value
        if self._token is None or value <= self._reported:
            return
        self._reported = value
        meta: dict[str, Any] | None = None
        if preview is not None:
            self._preview_at = time.monotonic()
            meta = {PREVIEW: _data_url(preview)}
        phase = task.progress.phase.replace("_", " ")
        steps = f", step {task.progress.step} of {task.progress.steps}" if phase == "denoising" else ""
        parameters = ProgressNotificationParams(
            progress_token=self._token, progress=value, total=1.0, message=f"{phase}{steps}", _meta=meta
        )
        await self._context.session.send_notification(
            ProgressNotification(params=parameters), related_request_id=self._context.request_id
        )


@contextmanager
def _reported(accepted: Task | None = None) -> Generator[None, None, None]:
    """Raise errors of the SDK as results that the assistant can read.

    They say how to continue without a second task.
    """
    try:
        yield
    except (ClientError, OSError) as error:
        raise ToolError("\n".join([str(error), *_next_steps(error, accepted)])) from error


def _next_steps(error: ClientError | OSError, accepted: Task | None) -> Iterator[str]:
    if isinstance(error, TaskDeletedError):
        return
    if accepted is not None:
        yield f"The task was accepted: call status with task_id {printable(accepted.id)}, not generate again."
    elif isinstance(error, ClientError) and error.outcome_is_unknown and error.idempotency_key is not None:
        yield (
            "The outcome is unknown. Call generate again with the same arguments and idempotency_key "
            f"{error.idempotency_key}: it creates no second task."
        )


def _summary(task: Task, files: list[str]) -> str:
    facts: dict[str, Any] = {
        "task_id": task.id,
        "status": task.status.value,
        "model": task.model,
        "seeds": [image.seed for image in task.images],
        "files": files,
        "warnings": [warning.detail for warning in task.warnings],
        "failed_images": [f"image {image.index}: {image.message}" for image in task.failed_images],
        "failure": None if task.failure is None else task.failure.message,
    }
    if not task.status.is_terminal:
        facts["progress"] = task.progress.value
        facts["next"] = f"unfinished: call status with task_id {task.id}"
        if task.model_served is False:
            facts["warnings"] = [*facts["warnings"], f"no live worker serves the model {task.model}"]
    return json.dumps({name: value for name, value in facts.items() if value not in (None, [])})


def shown(image: ImageFile, max_bytes: int) -> Image:
    """Return an image as assistants accept it: a smaller JPEG if its format or size is a problem.

    Raises UnidentifiedImageError.
    """
    try:
        with PillowImage.open(io.BytesIO(image.content), formats=FORMATS) as opened:
            if opened.format in _SHOWN_FORMATS and len(image.content) <= max_bytes:
                return Image(data=image.content, format=opened.format.lower())
            pixels = opened.convert("RGB")
    except UNREADABLE as error:
        reason = f"image {image.stored.index} of task {printable(image.task_id)} cannot be decoded"
        raise UnidentifiedImageError(reason) from error
    while True:
        file = io.BytesIO()
        pixels.save(file, "JPEG", quality=85)
        if len(file.getvalue()) <= max_bytes or min(pixels.size) <= _SMALLEST_SIDE:
            return Image(data=file.getvalue(), format="jpeg")
        pixels = pixels.resize((pixels.width // 2, pixels.height // 2))


def _data_url(jpeg: bytes) -> str:
    content = Image(data=jpeg, format="jpeg").to_image_content()
    return f"data:{content.mime_type};base64,{content.data}"
