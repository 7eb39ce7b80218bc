"""Submission of a task and the wait for it in a terminal: errors and Ctrl-C say how to continue."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.live_view import LiveView
from darkroom.cli.output import plain, print_json
from darkroom.errors import (
    ClientError,
    TaskCancelledError,
    TaskDeletedError,
    TaskFailedError,
    TaskNotCompletedError,
    UnavailableError,
    UnreachableError,
    WaitTimeoutError,
    printable,
)
from darkroom.models.task import Task, TaskStatus
from darkroom.submission import idempotency_key_or_new
from darkroom.sync_client import Client

_CONTINUES = "continues on the server"


@contextmanager
def recoverable(key: str | None) -> Iterator[str]:
    """Yield the idempotency key to submit with, by default a new one.

    If the outcome is unknown, print how to find the task without creating a second one.
    """
    used_key = idempotency_key_or_new(None) if key is None else key
    repeat = f"--idempotency-key {printable(used_key)}: it creates no second task."
    try:
        yield used_key
    except KeyboardInterrupt:
        typer.echo(
            "\nInterrupted before the response: the API may have accepted the request. `darkroom list` shows\n"
            f"accepted tasks. It is safe to repeat the command with\n{repeat}",
            err=True,
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except ClientError as error:
        if error.outcome_is_unknown:
            typer.echo(
                f"The outcome is unknown: the task may have been accepted. Repeat the command with\n{repeat}",
                err=True,
            )
        raise


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
def interruptible(
    client: Client, task_id: str, *, cancels: bool, is_accepted: bool = True
) -> Generator[None, None, None]:
    """If the wait ends before the task, print how to continue it.

    On Ctrl-C, `cancels` cancels the task. A task that `is_accepted` is named after every error, so
    that the user does not submit it a second time.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(err=True)
        if cancels:
            _cancel(client, task_id)
        else:
            _print_next_steps(task_id, _CONTINUES)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (WaitTimeoutError, UnreachableError, UnavailableError):
        _print_next_steps(task_id, _CONTINUES)
        raise
    except (TaskNotCompletedError, TaskDeletedError):
        raise  # they name the task, which does not continue
    except (ClientError, OSError):
        if is_accepted:
            _print_next_steps(task_id, "was accepted")
        raise


def _cancel(client: Client, task_id: str) -> None:
    try:
        task = client.cancel(task_id)
    except ClientError:
        _print_next_steps(task_id, _CONTINUES)
        raise
    status = "was cancelled" if task.status.is_terminal else "is being cancelled"
    typer.echo(f"Task {printable(task_id)} {status}.", err=True)


def _print_next_steps(task_id: str, state: str) -> None:
    name = printable(task_id)
    typer.echo(
        f"Task {name} {state}.\n"
        f"  Watch it: darkroom watch {name}\n"
        f"  Download its images: darkroom download {name}\n"
        f"  Cancel it: darkroom cancel {name}",
        err=True,
    )
