"""darkroom list, show, cancel, retry, delete, download: existing tasks."""

from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.each_of_many import each, exit_with
from darkroom.cli.json_output import plain, print_json, print_record, print_records
from darkroom.cli.live_view import says
from darkroom.cli.option_bundles import taking
from darkroom.cli.options import (
    FolderOption,
    JsonOption,
    LimitOption,
    TaskIdArgument,
    TaskIdsArgument,
    YesOption,
    client_of,
)
from darkroom.cli.waiting import raise_unless_completed, tell_failed_images
from darkroom.cli.warning_lines import warning_facts
from darkroom.models.task import Task, TaskStatus
from darkroom.plain_text import age, facts, one_line, printable, table
from darkroom.sync_client import Client

_PROMPT_CHARACTERS = 60


@taking(client=client_of)
def list_tasks(
    *,
    status: Annotated[TaskStatus | None, typer.Option(help="Only tasks that stand so.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model's.")] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """List your tasks, newest first."""
    page_size = min(limit + 1, 100)
    tasks = list(islice(client.list(status=status, model=model, page_size=page_size), limit + 1))
    shown = tasks[:limit]
    if as_json:
        print_records(shown)
        return
    if not shown:
        typer.echo("No tasks.")
        return
    now = datetime.now(timezone.utc)
    typer.echo(table(("ID", "SUBMITTED", "STATUS", "MODEL", "PROMPT"), [_row(task, now) for task in shown]))
    if len(tasks) > limit:
        typer.echo(f"There are more than {limit}: --limit shows them.", err=True)


@taking(client=client_of)
def show(task_id: TaskIdArgument, *, as_json: JsonOption = False, client: Client) -> None:
    """Show all that is known of a task."""
    task = client.get(task_id)
    if as_json:
        print_record(task)
    else:
        typer.echo(facts(_known(task)))


@taking(client=client_of)
def cancel(task_ids: TaskIdsArgument, *, as_json: JsonOption = False, client: Client) -> None:
    """Cancel tasks. Those that have ended stay as they are."""
    tasks, code = each(task_ids, client.cancel)
    _tell(tasks, as_json=as_json)
    exit_with(code)


@taking(client=client_of)
def retry(task_ids: TaskIdsArgument, *, as_json: JsonOption = False, client: Client) -> None:
    """Queue tasks that lack images again, with the same ids and seeds. Finished images stay."""
    tasks, code = each(task_ids, client.retry)
    _tell(tasks, as_json=as_json)
    exit_with(code)


@taking(client=client_of)
def delete(
    task_ids: TaskIdsArgument, *, yes: YesOption = False, as_json: JsonOption = False, client: Client
) -> None:
    """Delete tasks and their images for good; what is still being drawn is cancelled."""
    if not yes:
        typer.confirm(f"Delete {len(task_ids)} tasks and their images?", abort=True, err=True)

    def deleted(task_id: str) -> str:
        client.delete(task_id)
        return task_id

    gone, code = each(task_ids, deleted)
    if as_json:
        print_json({"deleted": gone})
    else:
        for task_id in gone:
            typer.echo(f"Task {printable(task_id)} is deleted.")
    exit_with(code)


@taking(client=client_of)
def download(
    task_id: TaskIdArgument, *, to: FolderOption = Path(), as_json: JsonOption = False, client: Client
) -> None:
    """Write a task's images into a folder and print where they lie."""
    task = client.get(task_id)
    files = [str(path) for path in client.download(task, to)]
    if as_json:
        print_json({"task": plain(task), "files": files})
    else:
        for file in files:
            typer.echo(file)
    tell_failed_images(task)
    raise_unless_completed(task)
    if not files:
        typer.echo(f"Task {printable(task_id)} is {says(task)}: there are no images yet.", err=True)


def _tell(tasks: list[Task], *, as_json: bool) -> None:
    if as_json:
        print_records(tasks)
        return
    for task in tasks:
        typer.echo(f"Task {printable(task.id)} is {says(task)}.")


def _row(task: Task, now: datetime) -> tuple[str, ...]:
    prompt = one_line(task.parameters.prompt, at_most=_PROMPT_CHARACTERS)
    return (printable(task.id), age(task.created_at, now), says(task), printable(task.model), prompt)


def _known(task: Task) -> dict[str, str]:
    known = {"id": task.id, "status": says(task)}
    known |= {name: str(value) for name, value in plain(task.parameters).items() if value is not None}
    known |= {f"label {name}": value for name, value in sorted(task.labels.items())}
    moments = ("created_at", "started_at", "finished_at", "expires_at")
    known |= {name: str(moment) for name in moments if (moment := getattr(task, name)) is not None}
    known |= {f"attempt {one.attempt}": f"{one.ending}, by {one.worker_id}" for one in task.history}
    known |= {
        f"image {image.index}": f"{image.width}×{image.height}, {image.size_bytes} bytes, seed {image.seed}"
        for image in task.images
    }
    known |= {
        f"failed image {image.index}": f"{image.message} ({image.code})" for image in task.failed_images
    }
    if task.cost is not None and task.cost.price is not None:
        known["price"] = f"{task.cost.price:g} {task.cost.currency}"
    known |= warning_facts(task.warnings)
    if task.failure is not None:
        known["failure"] = f"{task.failure.message} ({task.failure.code})"
    return known
