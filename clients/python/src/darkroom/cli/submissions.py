"""darkroom submit, generate, watch: from a prompt to its images."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer

from darkroom.cli.batch_files import report_by_line, submissions_in
from darkroom.cli.each_of_many import exit_with
from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.json_output import plain, print_json, print_line, print_record, print_records
from darkroom.cli.live_view import LiveView
from darkroom.cli.option_bundles import taking
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
)
from darkroom.cli.waiting import (
    follow,
    interruptible,
    raise_unless_completed,
    show_first,
    shown_in,
    tell_failed_images,
)
from darkroom.cli.warning_lines import print_warnings
from darkroom.errors import ClientError
from darkroom.models.task import Task
from darkroom.plain_text import printable
from darkroom.submission import SubmissionFields, new_idempotency_key
from darkroom.sync_client import Client


@taking(fields=submission_fields, client=client_of)
def submit(
    prompt: PromptOrNoneArgument = None,
    *,
    batch: BatchOption = None,
    idempotency_key: KeyOption = None,
    as_json: JsonOption = False,
    fields: SubmissionFields,
    client: Client,
) -> None:
    """Submit a task and print its id; with --batch many of them."""
    if batch is not None and prompt is None:
        _submit_lines(client, batch, fields, idempotency_key, as_json=as_json)
        return
    if batch is not None or prompt is None:
        raise typer.BadParameter("give either a prompt or --batch FILE")
    task = _submitted(client, prompt, fields, idempotency_key)
    _warn_of_unserved([task])
    print_warnings(task.warnings)
    if as_json:
        print_record(task)
    else:
        typer.echo(printable(task.id))


@taking(fields=submission_fields, client=client_of)
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
    """Draw a prompt: submit, wait, write the images into a folder and print where they lie."""
    to.mkdir(parents=True, exist_ok=True)  # fail before the task is submitted
    task = _submitted(client, prompt, fields, idempotency_key)
    print_warnings(task.warnings)
    with interruptible(client, task.id, cancels=cancel_on_interrupt):
        with LiveView(preview=preview) as view:
            ended = follow(client, task.id, shown_in(view, client), timeout)
            images = client.images(ended)
            show_first(view, images)
        print_warnings([warning for warning in ended.warnings if warning not in task.warnings])
        files = [str(image.save(to)) for image in images]
    if as_json:
        print_json({"task": plain(ended), "files": files})
    else:
        for file in files:
            typer.echo(file)
    tell_failed_images(ended)
    raise_unless_completed(ended)


@taking(client=client_of)
def watch(
    task_id: TaskIdArgument,
    *,
    timeout: TimeoutOption = None,
    cancel_on_interrupt: CancelOption = False,
    preview: PreviewOption = True,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Follow a task to its end. With --json one line for each change, as it happens."""
    with interruptible(client, task_id, cancels=cancel_on_interrupt):
        if as_json:
            ended = follow(client, task_id, print_line, timeout)
        else:
            with LiveView(preview=preview) as view:
                ended = follow(client, task_id, shown_in(view, client), timeout)
                if view.shows_pictures:
                    show_first(view, client.images(ended))
    tell_failed_images(ended)
    raise_unless_completed(ended)


def _submitted(client: Client, prompt: str, fields: SubmissionFields, key: str | None) -> Task:
    with _telling_the_key(key) as used:
        return client.submit(prompt, idempotency_key=used, **fields)


def _submit_lines(
    client: Client, file: TextIO, fields: SubmissionFields, key: str | None, *, as_json: bool
) -> None:
    with _telling_the_key(key) as used:
        numbered = submissions_in(file, usual=fields, key=used)
        outcomes = client.submit_many(numbered.values())
    tasks, code = report_by_line(dict(zip(numbered, outcomes, strict=True)), key=used)
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


@contextmanager
def _telling_the_key(given: str | None) -> Iterator[str]:
    """Yield the key to submit with.

    If the outcome is unknown, print how to find the task without creating a second one.
    """
    used = new_idempotency_key() if given is None else given
    try:
        yield used
    except KeyboardInterrupt:
        typer.echo(
            "\nInterrupted before the answer: what was sent may have been accepted. `darkroom list` shows it;\n"
            f"the same command with --idempotency-key {printable(used)} makes no second task.",
            err=True,
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except ClientError as error:
        if error.outcome_is_unknown:
            typer.echo(
                "The outcome is unknown: the task may have been accepted. The same command with\n"
                f"--idempotency-key {printable(used)} finds it and makes no second task.",
                err=True,
            )
        raise
