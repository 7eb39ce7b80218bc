"""Asynchronous client for the darkroom API, on asyncio or trio."""

import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
import httpx
from typing_extensions import Self, Unpack

from darkroom import task_stream, verification
from darkroom.calls import DEFAULT_TIMEOUT_SECONDS, Calls
from darkroom.credentials import resolve_address
from darkroom.drivers import iterate_async, run_async
from darkroom.errors import ClientError
from darkroom.image_files import ImageFile, ImageSource, RecordedImage
from darkroom.models.account import ApiKey, CreatedApiKey, UsageReport
from darkroom.models.catalog import ModelSpec
from darkroom.models.dead_letter import DeadLetter
from darkroom.models.estimate import Estimate
from darkroom.models.queue import QueueStatus
from darkroom.models.share import CreatedShare, Share
from darkroom.models.stored_input import Input
from darkroom.models.task import Task, TaskRef
from darkroom.models.webhook import WebhookDeliveries, WebhookDelivery, WebhookSecret
from darkroom.pictures import PictureSource
from darkroom.proxies import http_client
from darkroom.resources import (
    account,
    batches,
    catalog,
    dead_letters,
    diagnosis,
    generation,
    images,
    inputs,
    shares,
    tasks,
    webhooks,
)
from darkroom.resources.batches import ChangeOutcome
from darkroom.resources.diagnosis import Check
from darkroom.resources.generation import Generation
from darkroom.resources.tasks import TaskFilters
from darkroom.retrying import RetryPolicy
from darkroom.sansio import Operation, StreamingOperation
from darkroom.submission import Submission, SubmissionFields
from darkroom.verification import Verification

_Result = TypeVar("_Result")
_Value = TypeVar("_Value")


class AsyncClient:
    """Asynchronous counterpart of `Client`, which documents the methods in detail."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        api_key: str | None = None,
        allow_http: bool | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retries: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = resolve_address(
            url=url, token=token, api_key=api_key, allow_http=allow_http, environment=os.environ
        )
        self._calls = Calls(
            address=address, timeout_seconds=timeout_seconds, retries=retries or RetryPolicy()
        )
        self._http = http_client(httpx.AsyncClient, address.url, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
        self, prompt: str, *, idempotency_key: str | None = None, **fields: Unpack[SubmissionFields]
    ) -> Task:
        """Submit a task and return it immediately."""
        return await self._run(tasks.submit(self._calls, prompt, fields, idempotency_key))

    async def estimate(self, prompt: str, **fields: Unpack[SubmissionFields]) -> Estimate:
        """Estimate GPU time, wait and price of a task without submitting it."""
        return await self._run(tasks.estimate(self._calls, prompt, fields))

    async def upload(self, picture: PictureSource) -> Input:
        """Upload a picture for tasks to start from. The same picture is stored once.

        `submit` and `generate` upload the pictures in their fields by themselves.
        """
        return await self._run(inputs.upload(self._calls, picture))

    async def input(self, input_id: str) -> Input:
        """Return an uploaded picture's description."""
        return await self._run(inputs.get(self._calls, input_id))

    async def delete_input(self, input_id: str) -> None:
        """Delete an uploaded picture that no task uses."""
        await self._run(inputs.delete(self._calls, input_id))

    async def submit_many(self, submissions: Iterable[Submission]) -> tuple[Task | ClientError, ...]:
        """Submit any number of tasks, 100 per call, and return the outcomes in the same order."""
        return await self._run(batches.submit_many(self._calls, submissions))

    async def generate(
        self,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        wait_seconds: float | None = None,
        **fields: Unpack[SubmissionFields],
    ) -> Generation:
        """Submit a task, wait for its terminal state and fetch the images."""
        operation = generation.generate(
            self._calls, prompt, fields, idempotency_key=idempotency_key, timeout_seconds=wait_seconds
        )
        return await self._run(operation)

    async def wait(self, task: TaskRef, *, timeout_seconds: float | None = None) -> Task:
        """Wait for the terminal state of a task and return it."""
        return await self._run(task_stream.wait(self._calls, task, timeout_seconds))

    def stream(self, task: TaskRef, *, timeout_seconds: float | None = None) -> AsyncGenerator[Task, None]:
        """Yield the current task, then the task after each change, until a terminal state."""
        return self._iterate(task_stream.stream(self._calls, task, timeout_seconds))

    async def get(self, task: TaskRef) -> Task:
        """Return the current task."""
        return await self._run(tasks.get(self._calls, task))

    def list(self, *, page_size: int = 50, **filters: Unpack[TaskFilters]) -> AsyncGenerator[Task, None]:
        """Yield the caller's tasks, newest first. Pages are fetched lazily."""
        return self._iterate(tasks.list_all(self._calls, filters, page_size))

    async def cancel(self, task: TaskRef) -> Task:
        """Cancel a task."""
        return await self._run(tasks.cancel(self._calls, task))

    async def retry(self, task: TaskRef) -> Task:
        """Queue a task that lacks images again, with the same id and seed."""
        return await self._run(tasks.retry(self._calls, task))

    async def label(self, task: TaskRef, labels: Mapping[str, str | None]) -> Task:
        """Set labels of a task, and remove labels with the value None. Others are kept."""
        return await self._run(tasks.label(self._calls, task, labels))

    async def delete(self, task: TaskRef) -> None:
        """Delete a task and its images permanently. A task that is not finished is cancelled."""
        await self._run(tasks.delete(self._calls, task))

    async def cancel_many(
        self, tasks: Iterable[TaskRef] | None = None, **filters: Unpack[TaskFilters]
    ) -> dict[str, ChangeOutcome]:
        """Cancel many tasks, given or selected by filters."""
        return await self._run(batches.change_many(self._calls, "cancel", tasks, filters))

    async def label_many(
        self,
        labels: Mapping[str, str | None],
        tasks: Iterable[TaskRef] | None = None,
        **filters: Unpack[TaskFilters],
    ) -> dict[str, ChangeOutcome]:
        """Change the labels of many tasks, given or selected by filters."""
        return await self._run(batches.change_many(self._calls, "label", tasks, filters, {"labels": labels}))

    async def delete_many(
        self, tasks: Iterable[TaskRef] | None = None, **filters: Unpack[TaskFilters]
    ) -> dict[str, ChangeOutcome]:
        """Delete many tasks permanently, given or selected by filters."""
        return await self._run(batches.change_many(self._calls, "delete", tasks, filters))

    async def images(self, task: TaskRef) -> tuple[ImageFile, ...]:
        """Fetch the stored images of a task with their bytes; empty while the task has none."""
        return await self._run(images.images(self._calls, task))

    async def preview(self, task: TaskRef, index: int = 0) -> bytes | None:
        """Fetch a preview of an image as a small JPEG."""
        return await self._run(images.preview(self._calls, task, index))

    async def download(self, task: TaskRef, directory: str | os.PathLike[str] = ".") -> tuple[Path, ...]:
        """Write each image of a task into a directory as it arrives, and return the paths."""
        return await self._run(images.download(self._calls, task, directory))

    async def verify(
        self, image: ImageSource, *, idempotency_key: str | None = None, wait_seconds: float | None = None
    ) -> Verification:
        """Generate an image again from the record in its file, and compare the two."""
        original = await anyio.to_thread.run_sync(RecordedImage.read_unedited, image)
        operation = verification.verify(
            self._calls, original, idempotency_key=idempotency_key, timeout_seconds=wait_seconds
        )
        return await self._run(operation)

    async def models(self) -> tuple[ModelSpec, ...]:
        """Return all models, the default model first."""
        return await self._run(catalog.models(self._calls))

    async def model(self, name: str) -> ModelSpec:
        """Return one model. Raises ModelNotFoundError."""
        return await self._run(catalog.model(self._calls, name))

    async def queue(self) -> QueueStatus:
        """Return the length and throughput of the queue, over the tasks of all callers."""
        return await self._run(account.queue(self._calls))

    async def usage(self, *, first: date | None = None, last: date | None = None) -> UsageReport:
        """Return the usage of the caller's tasks, total and per day; by default of the last week."""
        return await self._run(account.usage(self._calls, first, last))

    async def share(
        self, task: TaskRef, index: int = 0, *, expires_in_hours: int | None = None
    ) -> CreatedShare:
        """Create a link that shows one picture and its prompt to any holder."""
        return await self._run(shares.create(self._calls, task, index, expires_in_hours))

    async def shares(self, task: TaskRef) -> tuple[Share, ...]:
        """Return the links of a task that work, without their addresses, newest first."""
        return await self._run(shares.list_active(self._calls, task))

    async def revoke_share(self, task: TaskRef, share_id: str) -> None:
        """Revoke a link, which shows nothing from then on."""
        await self._run(shares.revoke(self._calls, task, share_id))

    async def keys(self) -> tuple[ApiKey, ...]:
        """Return the caller's API keys without their secrets, newest first."""
        return await self._run(account.keys(self._calls))

    async def create_key(
        self, name: str, scopes: Iterable[str], *, expires_in_days: int | None = None
    ) -> CreatedApiKey:
        """Create an API key."""
        return await self._run(account.create_key(self._calls, name, scopes, expires_in_days))

    async def revoke_key(self, key_id: str) -> None:
        """Revoke an API key permanently."""
        await self._run(account.revoke_key(self._calls, key_id))

    async def webhook_secrets(self) -> tuple[WebhookSecret, ...]:
        """Return the valid secrets of the caller's webhooks, newest first."""
        return await self._run(webhooks.secrets(self._calls))

    async def rotate_webhook_secret(self) -> tuple[WebhookSecret, ...]:
        """Create a new secret, and return it with the one before, which stays valid for some time."""
        return await self._run(webhooks.rotate(self._calls))

    async def webhook_deliveries(self, task: TaskRef) -> WebhookDeliveries:
        """Return the deliveries of a task's events with their tries."""
        return await self._run(webhooks.deliveries(self._calls, task))

    async def replay_webhook_delivery(self, task: TaskRef, number: int) -> WebhookDelivery:
        """Send an event again, with the same id."""
        return await self._run(webhooks.replay(self._calls, task, number))

    def diagnose(self) -> AsyncGenerator[Check, None]:
        """Yield checks of the proxy, server, clock, credentials, models and streams."""
        return self._iterate(diagnosis.diagnose(self._calls))

    def dead_letters(self) -> AsyncGenerator[DeadLetter, None]:
        """Yield all dead letters, newest first, without their bodies."""
        return self._iterate(dead_letters.list_all(self._calls))

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        """Return one dead letter with its body."""
        return await self._run(dead_letters.get(self._calls, letter_id))

    async def replay_dead_letter(self, letter_id: str) -> Task:
        """Queue the task of a dead letter again and return the task."""
        return await self._run(dead_letters.replay(self._calls, letter_id))

    async def delete_dead_letter(self, letter_id: str) -> None:
        """Delete a dead letter."""
        await self._run(dead_letters.delete(self._calls, letter_id))

    async def purge_dead_letters(self, older_than: datetime) -> int:
        """Delete all dead letters older than a point in time and return their number."""
        return await self._run(dead_letters.purge(self._calls, older_than))

    async def _run(self, operation: Operation[_Result]) -> _Result:
        return await run_async(self._http, operation)

    def _iterate(self, operation: StreamingOperation[_Value]) -> AsyncGenerator[_Value, None]:
        return iterate_async(self._http, operation)
