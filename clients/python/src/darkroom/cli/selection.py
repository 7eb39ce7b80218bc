"""The tasks that a command changes: given ids, or the tasks that a filter selects."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import typer

from darkroom.cli.output import counted
from darkroom.models.task import Task, TaskStatus
from darkroom.sync_client import Client

AllOption = Annotated[bool, typer.Option("--all", help="Select all of your tasks.")]
Filters: TypeAlias = dict[str, Any]
"""Arguments of `Client.list`."""
_TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S"]


def _statuses() -> list[str]:
    return [status.value for status in TaskStatus]


def task_filters(
    *,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only tasks with this status: queued, processing, completed, failed or cancelled.",
            autocompletion=_statuses,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only tasks of this model.")] = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="Only tasks with this label.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=_TIME_FORMATS,
            metavar="TIME",
            help="Only tasks submitted at this time or later, as in 2026-11-20 or 2026-11-20T14:30:00; "
            "local time unless it has an offset.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=_TIME_FORMATS, metavar="TIME", help="Only tasks submitted before this time."),
    ] = None,
) -> Filters:
    """Build the filters from the options."""
    filters = {
        "status": status,
        "model": model,
        "label": label,
        "created_after": since,
        "created_before": until,
    }
    return {name: value for name, value in filters.items() if value is not None}


def select_ids(
    client: Client,
    task_ids: Sequence[str] | None,
    filters: Filters,
    *,
    every: bool,
    question: str | None,
    is_affected: Callable[[Task], bool] = lambda _task: True,
) -> list[str]:
    """Return the given ids, or those of the affected tasks that the filters select.

    Asks the question first; `{}` in it is the number of tasks. Raises typer.BadParameter for both or
    neither.
    """
    if bool(task_ids) == (bool(filters) or every):
        raise typer.BadParameter("give either ids, or a filter such as --label or --status, or --all")

    def selected() -> list[str]:
        return [task.id for task in client.list(**filters, page_size=100) if is_affected(task)]

    ids = list(task_ids) if task_ids else selected()
    if not ids or question is None:
        return ids
    typer.confirm(question.format(counted(len(ids), "task")), abort=True, err=True)
    if task_ids:
        return ids
    # While the question was open, a task may have changed, such as by a retry of another program.
    current = set(selected())
    return [each for each in ids if each in current]
