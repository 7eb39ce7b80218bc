"""darkroom submit, generate, watch: from a prompt to its images."""

from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import typer

from darkroom.cli.batch_files import read_submissions, report_outcomes
from darkroom.cli.folders import prepare_folder
from darkroom.cli.live_view import LiveView
from darkroom.cli.options import (
    BatchOption,
    CancelOption,
    FolderOption,
    JsonOption,
    KeyOption,
    PreviewOption,
    PromptArgument,
    PromptOrNoneArgument,
    TaskIdArgument,
    TimeoutOption,
    client_of,
    submission_fields,
    with_options,
)
from darkroom.cli.output import exit_with, print_json_line, print_record, print_records, print_warnings
from darkroom.cli.waiting import (
    check_result,
    follow,
    interruptible,
    print_result,
    recoverable,
    shown_in,
)
from darkroom.errors import printable
from darkroom.models.task import Task
from darkroom.submission import SubmissionFields
from darkroom.sync_client import Client


@with_options(fields=submission_fields, client=client_of)
def submit(
    prompt: PromptOrNoneArgument = None,
    *,
    batch: BatchOption = None,
    idempotency_key: KeyOption = None,
    as_json: JsonOption = False,
    fields: SubmissionFields,
    client: Client,
) -> None:
    """Submit a task and print its id, or submit many with --batch."""
    if batch is not None and prompt is None:
        _submit_file(client, batch, fields, idempotency_key, as_json=as_json)
        return
    if batch is not None or prompt is None:
        raise typer.BadParameter("give either a prompt or --batch FILE")
    task = _submit(client, prompt, fields, idempotency_key)
    _warn_of_unserved([task])
    print_warnings(task.warnings)
    if as_json:
        print_record(task)
    else:
        typer.echo(printable(task.id))


@with_options(fields=submission_fields, client=client_of)
def generate(
    prompt: PromptArgument,
    *,
    to: FolderOption = Path(),
    timeout: TimeoutOption = None,
    cancel_on_interrupt: CancelOption = False,
    preview: PreviewOption = True,
    idempotency_key: KeyOption = None,
    as_json: JsonOption = False,
    fields: SubmissionFields,
    client: Client,
) -> None:
    """Submit a task, wait for it and save its images.

    Prints the paths of the images.
    """
    prepare_folder(to)
    task = _submit(client, prompt, fields, idempotency_key)
    with interruptible(client, task.id, cancels=cancel_on_interrupt):
        print_warnings(task.warnings)
        with LiveView(preview=preview) as view:
            finished = follow(client, task.id, shown_in(view, client), timeout)
            files = client.download(finished, to)
            if view.shows_images and files:
                view.show_image(files[0].read_bytes())  # it replaces the preview
        print_warnings([warning for warning in finished.warnings if warning not in task.warnings])
    print_result(finished, [str(file) for file in files], as_json=as_json)


@with_options(client=client_of)
def watch(
    task_id: TaskIdArgument,
    *,
    timeout: TimeoutOption = None,
    cancel_on_interrupt: CancelOption = False,
    preview: PreviewOption = True,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Show a task until it has finished.

    With --json, prints one line per change.
    """
    with interruptible(client, task_id, cancels=cancel_on_interrupt, is_accepted=False):
        if as_json:
            finished = follow(client, task_id, print_json_line, timeout)
        else:
            with LiveView(preview=preview) as view:
                finished = follow(client, task_id, shown_in(view, client), timeout)
                if view.shows_images:
                    first = finished.model_copy(update={"images": finished.images[:1]})
                    for image in client.images(first):
                        view.show_image(image.content)
    check_result(finished)


def _submit(client: Client, prompt: str, fields: SubmissionFields, key: str | None) -> Task:
    with recoverable(key) as used_key:
        return client.submit(prompt, idempotency_key=used_key, **fields)


def _submit_file(
    client: Client, file: TextIO, fields: SubmissionFields, key: str | None, *, as_json: bool
) -> None:
    with recoverable(key) as used_key:
        submissions = read_submissions(file, defaults=fields, key=used_key)
        outcomes = client.submit_many(submissions.values())
    tasks, code = report_outcomes(dict(zip(submissions, outcomes, strict=True)), key=used_key)
    _warn_of_unserved(tasks.values())
    if as_json:
        print_records(tasks.values())
    else:
        for number, task in tasks.items():
            typer.echo(f"{number}\t{printable(task.id)}")
    exit_with(code)


def _warn_of_unserved(tasks: Iterable[Task]) -> None:
    """Warn of tasks whose model no live worker serves, one line per model."""
    for model in dict.fromkeys(task.model for task in tasks if task.model_served is False):
        typer.echo(
            f"No live worker serves the model {printable(model)}: the task waits until one does.", err=True
        )
