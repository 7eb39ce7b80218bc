"""Progress of a task on standard error: a bar in a terminal, else a line per phase."""

import os
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from typing_extensions import Self

from darkroom.cli.terminal_images import ImageProtocol, image_protocol, picture_above
from darkroom.models.task import Task, TaskStatus
from darkroom.plain_text import one_line

_PREVIEW_ROWS = 14
_LINES_BESIDE_A_PREVIEW = 4
_PHASES = {"loading_model": "loading the model", "denoising": "drawing"}


def says(task: Task) -> str:
    """Describe the status of a task in a few words."""
    if task.status.is_terminal:
        return f"{task.status.value}{_finished(task)}"
    if task.cancel_requested_at is not None:
        return "being cancelled"
    if task.status is TaskStatus.QUEUED:
        return f"queued{_place(task.queue_position)}{_eta(task)}{_unserved(task)}"
    phase = _PHASES.get(task.progress.phase, task.progress.phase.replace("_", " "))
    steps = f" {task.progress.step}/{task.progress.steps}" if task.progress.phase == "denoising" else ""
    return one_line(f"{phase}{steps}{_finished(task)}{_eta(task)}", at_most=60)


def _finished(task: Task) -> str:
    """Describe how many of several images are finished, if the status does not imply it."""
    wanted, finished = task.parameters.num_images, len(task.images)
    is_obvious = wanted == 1 or finished == 0 or (task.status is TaskStatus.COMPLETED and finished == wanted)
    return "" if is_obvious else f", {finished} of {wanted} images"


def _place(ahead: int | None) -> str:
    if ahead is None:
        return ""
    return f", {ahead} before it" if ahead else ", next in line"


def _eta(task: Task) -> str:
    seconds = None if task.eta is None else task.eta.p50_seconds
    return "" if seconds is None else f", about {seconds:.0f} s"


def _unserved(task: Task) -> str:
    model = one_line(task.model, at_most=64)
    return f", no live worker serves the model {model}" if task.model_served is False else ""


class LiveView:
    """Shows successive snapshots of a task. As a context manager, it restores the terminal on exit."""

    def __init__(self, *, preview: bool) -> None:
        self._console = Console(stderr=True)
        self._protocol = _protocol(self._console, preview)
        self._rows = min(_PREVIEW_ROWS, self._console.height - _LINES_BESIDE_A_PREVIEW)
        self._has_pane = False
        self._said = ""
        # Previews move the only cursor of a terminal: no other thread may draw then.
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            auto_refresh=self._protocol is None,
            disable=not self._console.is_terminal,
        )
        self._line = self._bar.add_task("", total=1.0)

    @property
    def shows_pictures(self) -> bool:
        """Whether this terminal can show images."""
        return self._protocol is not None and self._rows > 0

    def __enter__(self) -> Self:
        if self.shows_pictures:
            self._console.file.write("\n" * self._rows)
            self._has_pane = True
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, task: Task) -> None:
        """Show the current task."""
        words = says(task)
        value = 1.0 if task.status is TaskStatus.COMPLETED else task.progress.value
        self._bar.update(self._line, description=words, completed=value, refresh=True)
        if not self._console.is_terminal and (phase := words.partition(" ")[0].rstrip(",")) != self._said:
            self._said = phase
            self._console.print(f"{one_line(task.id, at_most=64)}: {words}", markup=False, highlight=False)

    def show_picture(self, content: bytes) -> None:
        """Show a preview or a finished image, if the terminal can."""
        if self._has_pane and self._protocol is not None:
            self._console.file.write(picture_above(self._protocol, content, rows=self._rows))
            self._console.file.flush()


def _protocol(console: Console, preview: bool) -> ImageProtocol | None:
    if not preview or not console.is_terminal:
        return None
    return image_protocol(os.environ)
