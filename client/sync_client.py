"""Client: the API for programs that wait. AsyncClient is the same for those that do not."""

import os
from collections.abc import Generator, Iterable
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx

from client import (
    account_calls,
    batch_calls,
    catalog_calls,
    dead_letter_calls,
    following,
    generation,
    image_calls,
    task_calls,
    verification,
)
from client.api_key import ApiKey, CreatedApiKey
from client.calls import DEFAULT_TIMEOUT_SECONDS, Calls
from client.credentials import resolve_address
from client.dead_letter import DeadLetter
from client.errors import ClientError
from client.estimate import Estimate
from client.generation import Generation
from client.image_file import ImageFile
from client.image_record import ImageSource, RecordedImage
from client.model_spec import ModelSpec
from client.playing import play, play_telling
from client.proxies import http_client
from client.queue_standing import QueueStanding
from client.retrying import RetryPolicy
from client.submission import Submission, SubmissionFields
from client.task import Task, TaskStatus
from client.task_calls import TaskRef
from client.usage import UsageReport
from client.verification import Verification


class Client:
    """darkroom's API. Every method raises ClientError. A context manager; may be shared by threads.

    What is not given is taken from DARKROOM_URL, DARKROOM_TOKEN or DARKROOM_API_KEY. `timeout_seconds` bounds one try
    of one call; `retries` says how often and how patiently calls are tried again.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retries: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = resolve_address(url=url, token=token, api_key=api_key, environment=os.environ)
        self._calls = Calls(
            address=address, timeout_seconds=timeout_seconds, retries=retries or RetryPolicy()
        )
        self._http = http_client(httpx.Client, address.url, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self, prompt: str, *, idempotency_key: str | None = None, **fields: Unpack[SubmissionFields]
    ) -> Task:
        """Submit a task and return at once. A key is made up if need be: a lost answer makes no second task."""
        return play(self._http, task_calls.submit(self._calls, prompt, fields, idempotency_key))

    def estimate(self, prompt: str, **fields: Unpack[SubmissionFields]) -> Estimate:
        """What a task would take, wait and cost if it were submitted now. Nothing is submitted."""
        return play(self._http, task_calls.estimate(self._calls, prompt, fields))

    def submit_many(self, submissions: Iterable[Submission]) -> tuple[Task | ClientError, ...]:
        """Submit any number of tasks, a hundred with each call; what became of each, in their order.

        A refusal is among the results, not raised: `isinstance(result, Task)` tells. What may be over soon is tried
        again. Keys are made up where need be.
        """
        return play(self._http, batch_calls.submit_many(self._calls, submissions))

    def generate(
        self,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        wait_seconds: float | None = None,
        **fields: Unpack[SubmissionFields],
    ) -> Generation:
        """Submit, wait for the end, fetch the images.

        Raises TaskFailedError, TaskCancelledError, and WaitTimeoutError after `wait_seconds`; the task then goes on.
        """
        return play(
            self._http,
            generation.generate(
                self._calls,
                prompt,
                fields,
                idempotency_key=idempotency_key,
                timeout_seconds=wait_seconds,
            ),
        )

    def wait(self, task: TaskRef, *, timeout_seconds: float | None = None) -> Task:
        """The task once it has ended, in whatever way. Raises WaitTimeoutError; the task then goes on."""
        return play(self._http, following.wait(self._calls, task, timeout_seconds))

    def stream(self, task: TaskRef, *, timeout_seconds: float | None = None) -> Generator[Task, None, None]:
        """The task as it stands, then after each change, until it has ended."""
        return play_telling(self._http, following.stream(self._calls, task, timeout_seconds))

    def get(self, task: TaskRef) -> Task:
        """The task as it stands."""
        return play(self._http, task_calls.get(self._calls, task))

    def list(
        self, *, status: TaskStatus | str | None = None, model: str | None = None, page_size: int = 50
    ) -> Generator[Task, None, None]:
        """Your tasks, newest first; pages are asked for as they are reached."""
        flow = task_calls.list_all(self._calls, status=status, model=model, page_size=page_size)
        return play_telling(self._http, flow)

    def cancel(self, task: TaskRef) -> Task:
        """Cancel. A task that a worker holds may still be `processing`; one that has ended stays as it is."""
        return play(self._http, task_calls.cancel(self._calls, task))

    def retry(self, task: TaskRef) -> Task:
        """Queue a task that lacks images again, with the same id and seed; finished images stay.

        Raises InvalidTransitionError unless it failed, was cancelled or has `failed_images`.
        """
        return play(self._http, task_calls.retry(self._calls, task))

    def delete(self, task: TaskRef) -> None:
        """Delete a task and its images for good; cancels it if needed."""
        play(self._http, task_calls.delete(self._calls, task))

    def images(self, task: TaskRef) -> tuple[ImageFile, ...]:
        """The images of a task with their bytes; none while it has none."""
        return play(self._http, image_calls.images(self._calls, task))

    def preview(self, task: TaskRef, index: int = 0) -> bytes | None:
        """What an image looks like so far, as a small JPEG; None before the first steps and after the end."""
        return play(self._http, image_calls.preview(self._calls, task, index))

    def download(self, task: TaskRef, directory: str | os.PathLike[str] = ".") -> tuple[Path, ...]:
        """Write the images of a task into a directory; returns where they lie."""
        return tuple(image.save(directory) for image in self.images(task))

    def verify(self, image: ImageSource, *, wait_seconds: float | None = None) -> Verification:
        """Draw an image again from the record in its file, and compare. A task like any other: it costs what it costs.

        Raises NoImageRecordError, EditedImageError before anything is drawn, and as `generate` does.
        """
        original = RecordedImage.read_unedited(image)
        return play(self._http, verification.verify(self._calls, original, wait_seconds))

    def models(self) -> tuple[ModelSpec, ...]:
        """Every model on offer, the default first."""
        return play(self._http, catalog_calls.models(self._calls))

    def model(self, name: str) -> ModelSpec:
        """One model. Raises ModelNotFoundError."""
        return play(self._http, catalog_calls.model(self._calls, name))

    def queue(self) -> QueueStanding:
        """How long the queue is, and how fast it moves: everybody's tasks."""
        return play(self._http, account_calls.queue(self._calls))

    def usage(self, *, first: date | None = None, last: date | None = None) -> UsageReport:
        """What your tasks have cost, in all and day by day; without days, the last week."""
        return play(self._http, account_calls.usage(self._calls, first, last))

    def keys(self) -> tuple[ApiKey, ...]:
        """Your API keys, newest first, without what opens doors."""
        return play(self._http, account_calls.keys(self._calls))

    def create_key(
        self, name: str, scopes: Iterable[str], *, expires_in_days: int | None = None
    ) -> CreatedApiKey:
        """A new API key; `key` is told this once. Not asked for again when the answer is lost."""
        return play(self._http, account_calls.create_key(self._calls, name, scopes, expires_in_days))

    def revoke_key(self, key_id: str) -> None:
        """Revoke an API key for good."""
        play(self._http, account_calls.revoke_key(self._calls, key_id))

    def dead_letters(self) -> Generator[DeadLetter, None, None]:
        """All dead letters, newest first, without their bodies. For operators, as are the next four."""
        return play_telling(self._http, dead_letter_calls.list_all(self._calls))

    def dead_letter(self, letter_id: str) -> DeadLetter:
        """One dead letter, with its body."""
        return play(self._http, dead_letter_calls.get(self._calls, letter_id))

    def replay_dead_letter(self, letter_id: str) -> Task:
        """Give its task another chance; returns the task."""
        return play(self._http, dead_letter_calls.replay(self._calls, letter_id))

    def delete_dead_letter(self, letter_id: str) -> None:
        """Forget one."""
        play(self._http, dead_letter_calls.delete(self._calls, letter_id))

    def purge_dead_letters(self, older_than: datetime) -> int:
        """Forget all that died before a moment; returns how many."""
        return play(self._http, dead_letter_calls.purge(self._calls, older_than))
