"""Following a task in a terminal, and the handling of Ctrl-C."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.live_view import LiveView
from darkroom.errors import TaskCancelledError, TaskFailedError
from darkroom.image_file import ImageFile
from darkroom.models.task import Task, TaskStatus
from darkroom.plain_text import printable
from darkroom.sync_client import Client


def follow(client: Client, task_id: str, tell: Callable[[Task], None], timeout_seconds: float | None) -> Task:
    """Call `tell` with each snapshot of a task and return the last one."""
    snapshots = client.stream(task_id, timeout_seconds=timeout_seconds)
    last = next(snapshots)
    tell(last)
    for last in snapshots:
        tell(last)
    return last


def shown_in(view: LiveView, client: Client) -> Callable[[Task], None]:
    """Return a function that shows a snapshot, and a preview if the terminal can."""

    def tell(task: Task) -> None:
        view.show(task)
        if view.shows_pictures and task.progress.phase == "denoising" and (seen := client.preview(task)):
            view.show_picture(seen)

    return tell


def show_first(view: LiveView, images: tuple[ImageFile, ...]) -> None:
    """Replace the preview with the first finished image."""
    if images:
        view.show_picture(images[0].content)


def tell_failed_images(task: Task) -> None:
    """Print the failed images and the reasons to standard error."""
    for image in task.failed_images:
        typer.echo(
            f"Image {image.index} failed: {printable(image.message)} ({printable(image.code)})", err=True
        )


def raise_unless_completed(task: Task) -> None:
    """Raise for a failed or cancelled task, so that the exit code shows its status."""
    if task.status is TaskStatus.FAILED:
        raise TaskFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(task)


@contextmanager
def interruptible(client: Client, task_id: str, *, cancels: bool) -> Generator[None]:
    """On Ctrl-C, cancel the task or let it continue, and print which."""
    try:
        yield
    except KeyboardInterrupt:
        if cancels:
            task = client.cancel(task_id)
            told = "is cancelled" if task.status.is_terminal else "is being cancelled"
            typer.echo(f"\nTask {printable(task_id)} {told}.", err=True)
        else:
            typer.echo(
                f"\nTask {printable(task_id)} goes on.\n"
                f"  Come back to it: darkroom watch {printable(task_id)}\n"
                f"  Fetch its images: darkroom download {printable(task_id)}\n"
                f"  Stop it: darkroom cancel {printable(task_id)}",
                err=True,
            )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
