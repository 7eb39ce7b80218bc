"""Waiting for a task in a terminal, and the handling of Ctrl-C."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import typer

from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.cli.live_view import LiveView
from darkroom.cli.output import plain, print_json
from darkroom.errors import (
    TaskCancelledError,
    TaskFailedError,
    UnavailableError,
    UnreachableError,
    WaitTimeoutError,
    printable,
)
from darkroom.models.task import Task, TaskStatus
from darkroom.sync_client import Client


def follow(
    client: Client, task_id: str, on_change: Callable[[Task], None], timeout_seconds: float | None
) -> Task:
    """Call `on_change` with each snapshot of a task and return the last one."""
    snapshots = client.stream(task_id, timeout_seconds=timeout_seconds)
    last = next(snapshots)
    on_change(last)
    for last in snapshots:
        on_change(last)
    return last


def shown_in(view: LiveView, client: Client) -> Callable[[Task], None]:
    """Return a function that shows a snapshot, and a preview if the terminal can."""

    def show(task: Task) -> None:
        view.show(task)
        is_generating = view.shows_images and task.progress.phase == "denoising"
        if is_generating and (preview := client.preview(task)):
            view.show_image(preview)

    return show


def print_result(task: Task, files: Sequence[str], *, as_json: bool) -> None:
    """Print the files of a finished task. Raises for a failed or cancelled one."""
    if as_json:
        print_json({"task": plain(task), "files": files})
    else:
        for file in files:
            typer.echo(file)
    check_result(task)


def check_result(task: Task) -> None:
    """Print the failed images to standard error, and raise for a failed or cancelled task.

    The exit code then shows the status.
    """
    for image in task.failed_images:
        typer.echo(
            f"Image {image.index} failed: {printable(image.message)} ({printable(image.code)})", err=True
        )
    if task.status is TaskStatus.FAILED:
        raise TaskFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(task)


@contextmanager
def interruptible(client: Client, task_id: str, *, cancels: bool) -> Generator[None, None, None]:
    """If the wait ends before the task, print how to continue it.

    On Ctrl-C, `cancels` cancels the task.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(err=True)
        if cancels:
            task = client.cancel(task_id)
            status = "was cancelled" if task.status.is_terminal else "is being cancelled"
            typer.echo(f"Task {printable(task_id)} {status}.", err=True)
        else:
            _print_next_steps(task_id)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (WaitTimeoutError, UnreachableError, UnavailableError) as error:
        typer.echo(f"darkroom: {error}", err=True)
        _print_next_steps(task_id)
        raise typer.Exit(exit_code_of(error)) from None


def _print_next_steps(task_id: str) -> None:
    name = printable(task_id)
    typer.echo(
        f"Task {name} continues on the server.\n"
        f"  Watch it: darkroom watch {name}\n"
        f"  Download its images: darkroom download {name}\n"
        f"  Cancel it: darkroom cancel {name}",
        err=True,
    )
