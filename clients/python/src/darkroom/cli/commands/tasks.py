"""darkroom list, show, cancel, retry, label, delete, download: existing tasks."""

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.live_view import status_text
from darkroom.cli.options import (
    FolderOption,
    JsonOption,
    LimitOption,
    TaskIdArgument,
    TaskIdsArgument,
    YesOption,
    client_of,
    pairs_of,
    with_options,
)
from darkroom.cli.output import (
    age,
    exit_with,
    facts,
    for_each,
    one_line,
    plain,
    print_deleted,
    print_listing,
    print_record,
    print_records,
    succeeded,
    warning_facts,
)
from darkroom.cli.selection import AllOption, Filters, select_ids, task_filters
from darkroom.cli.waiting import print_result
from darkroom.errors import printable
from darkroom.models.task import Task, TaskStatus
from darkroom.resources.batches import ChangeOutcome
from darkroom.sync_client import Client

_PROMPT_CHARACTERS = 60


@with_options(filters=task_filters, client=client_of)
def list_tasks(
    *, limit: LimitOption = 20, as_json: JsonOption = False, filters: Filters, client: Client
) -> None:
    """List your tasks, newest first."""
    page_size = min(limit + 1, 100)
    tasks = list(islice(client.list(**filters, page_size=page_size), limit + 1))
    now = datetime.now(timezone.utc)
    print_listing(
        tasks,
        ("ID", "SUBMITTED", "STATUS", "MODEL", "PROMPT"),
        lambda task: _row(task, now),
        limit=limit,
        empty="No tasks.",
        as_json=as_json,
    )


@with_options(client=client_of)
def show(task_id: TaskIdArgument, *, as_json: JsonOption = False, client: Client) -> None:
    """Show a task with all its fields."""
    task = client.get(task_id)
    print_record(task) if as_json else typer.echo(facts(_task_facts(task)))


@with_options(filters=task_filters, client=client_of)
def cancel(
    task_ids: TaskIdsArgument = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    filters: Filters,
    client: Client,
) -> None:
    """Cancel tasks.

    A filter selects unfinished tasks. Finished tasks are not changed.
    """
    ids = select_ids(
        client,
        task_ids,
        filters,
        every=every,
        question=None if yes or task_ids else "Cancel {}?",
        is_affected=lambda task: not task.status.is_terminal,
    )
    _print_changed(_changed(client.cancel_many, ids), as_json=as_json)


@with_options(filters=task_filters, client=client_of)
def retry(
    task_ids: TaskIdsArgument = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    filters: Filters,
    client: Client,
) -> None:
    """Generate the missing images of tasks.

    The tasks are queued again, with the same ids and seeds. Finished images are kept. A filter
    selects failed and cancelled tasks, and those with failed images.
    """
    ids = select_ids(
        client,
        task_ids,
        filters,
        every=every,
        question=None if yes or task_ids else "Retry {}?",
        is_affected=_can_be_retried,
    )
    _print_changed(for_each(ids, client.retry), as_json=as_json)


@with_options(filters=task_filters, client=client_of)
def delete(
    task_ids: TaskIdsArgument = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    filters: Filters,
    client: Client,
) -> None:
    """Delete tasks and their images permanently. Unfinished tasks are cancelled."""
    question = None if yes else "Delete {} with all images?"
    ids = select_ids(client, task_ids, filters, every=every, question=question)
    deleted, code = succeeded(client.delete_many(ids))
    print_deleted(list(deleted), code, name="deleted", message="Task {} was deleted.", as_json=as_json)


@with_options(filters=task_filters, client=client_of)
def label(
    task_ids: TaskIdsArgument = None,
    *,
    new: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Label to set. Repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Label to remove. Repeatable.")
    ] = None,
    every: AllOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    filters: Filters,
    client: Client,
) -> None:
    """Set and remove labels of tasks, in any status."""
    changes: dict[str, str | None] = {**(pairs_of(new, "--set") or {})}
    changes |= dict.fromkeys(remove or ())
    if not changes:
        raise typer.BadParameter("give --set NAME=VALUE or --remove NAME")
    question = None if yes or task_ids else "Change the labels of {}?"
    ids = select_ids(client, task_ids, filters, every=every, question=question)
    _print_changed(_changed(partial(client.label_many, changes), ids), as_json=as_json)


@with_options(client=client_of)
def download(
    task_id: TaskIdArgument, *, to: FolderOption = Path(), as_json: JsonOption = False, client: Client
) -> None:
    """Save a task's images and print their paths."""
    task = client.get(task_id)
    files = [str(path) for path in client.download(task, to)]
    print_result(task, files, as_json=as_json)
    if not files:
        typer.echo(f"Task {printable(task_id)} has no images yet. Status: {status_text(task)}.", err=True)


def _changed(
    change: Callable[[list[str]], Mapping[str, ChangeOutcome]], ids: list[str]
) -> tuple[list[Task], ExitCode]:
    tasks, code = succeeded(change(ids))
    return [task for task in tasks.values() if task is not None], code


def _print_changed(changed: tuple[list[Task], ExitCode], *, as_json: bool) -> None:
    tasks, code = changed
    if as_json:
        print_records(tasks)
    else:
        if not tasks and code is ExitCode.SUCCESS:
            typer.echo("No tasks.", err=True)
        for task in tasks:
            typer.echo(f"Task {printable(task.id)}: {status_text(task)}")
    exit_with(code)


def _can_be_retried(task: Task) -> bool:
    is_unsuccessful = task.status in (TaskStatus.FAILED, TaskStatus.CANCELLED)
    return is_unsuccessful or (task.status is TaskStatus.COMPLETED and bool(task.failed_images))


def _row(task: Task, now: datetime) -> tuple[str, ...]:
    prompt = one_line(task.parameters.prompt, at_most=_PROMPT_CHARACTERS)
    return (printable(task.id), age(task.created_at, now), status_text(task), printable(task.model), prompt)


def _task_facts(task: Task) -> dict[str, str]:
    values = {"id": task.id, "status": status_text(task)}
    values |= {name: str(value) for name, value in plain(task.parameters).items() if value is not None}
    values |= {f"label {name}": value for name, value in sorted(task.labels.items())}
    timestamps = ("created_at", "started_at", "finished_at", "expires_at")
    values |= {name: str(value) for name in timestamps if (value := getattr(task, name)) is not None}
    values |= {f"attempt {past.attempt}": f"{past.ending}, by {past.worker_id}" for past in task.history}
    values |= {
        f"image {image.index}": f"{image.width}×{image.height}, {image.size_bytes} bytes, seed {image.seed}"
        for image in task.images
    }
    values |= {
        f"failed image {image.index}": f"{image.message} ({image.code})" for image in task.failed_images
    }
    if task.cost is not None and task.cost.price is not None:
        values["price"] = f"{task.cost.price:g} {task.cost.currency}"
    values |= warning_facts(task.warnings)
    if task.failure is not None:
        values["failure"] = f"{task.failure.message} ({task.failure.code})"
    return values
