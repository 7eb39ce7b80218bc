"""Progress of a task on standard error: a bar in a terminal, else a line per phase."""

import os

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from typing_extensions import Self

from darkroom.cli.output import one_line
from darkroom.cli.terminal_images import draw_above, image_protocol
from darkroom.image_files import UNREADABLE
from darkroom.models.task import Task, TaskStatus

_PREVIEW_ROWS = 14
_ROWS_WITHOUT_PREVIEW = 4
_PHASES = {"loading_model": "loading the model", "denoising": "generating"}


def status_text(task: Task) -> str:
    """Describe the status of a task in a few words."""
    if task.status.is_terminal:
        return f"{task.status.value}{_image_count(task)}"
    if task.cancel_requested_at is not None:
        return "being cancelled"
    if task.status is TaskStatus.QUEUED:
        return f"queued{_position(task.queue_position)}{_eta(task)}{_unserved(task)}"
    phase = _PHASES.get(task.progress.phase, task.progress.phase.replace("_", " "))
    steps = f" {task.progress.step}/{task.progress.steps}" if task.progress.phase == "denoising" else ""
    return one_line(f"{phase}{steps}{_image_count(task)}{_eta(task)}", at_most=60)


def _image_count(task: Task) -> str:
    """Describe how many of several images are finished, if the status does not imply it."""
    wanted, finished = task.parameters.num_images, len(task.images)
    is_implied = wanted == 1 or finished == 0 or (task.status is TaskStatus.COMPLETED and finished == wanted)
    return "" if is_implied else f", {finished} of {wanted} images"


def _position(tasks_ahead: int | None) -> str:
    if tasks_ahead is None:
        return ""
    return f", {tasks_ahead} ahead" if tasks_ahead else ", next in the queue"


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
        has_images = preview and self._console.is_terminal
        self._protocol = image_protocol(os.environ) if has_images else None
        self._rows = min(_PREVIEW_ROWS, self._console.height - _ROWS_WITHOUT_PREVIEW)
        self._is_entered = False
        self._last_phase = ""
        # Previews move the terminal's cursor: no other thread may write meanwhile.
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
    def shows_images(self) -> bool:
        """Whether this terminal can show images."""
        return self._protocol is not None and self._rows > 0

    def __enter__(self) -> Self:
        if self.shows_images:
            self._console.file.write("\n" * self._rows)
        self._is_entered = True
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, task: Task) -> None:
        """Show the current task."""
        text = status_text(task)
        value = 1.0 if task.status is TaskStatus.COMPLETED else task.progress.value
        self._bar.update(self._line, description=text, completed=value, refresh=True)
        phase = text.partition(" ")[0].rstrip(",")
        if not self._console.is_terminal and phase != self._last_phase:
            self._last_phase = phase
            self._console.print(f"{one_line(task.id, at_most=64)}: {text}", markup=False, highlight=False)

    def show_image(self, content: bytes) -> None:
        """Show a preview or a finished image, if the terminal can."""
        if self._is_entered and self._protocol is not None and self.shows_images:
            try:
                drawn = draw_above(self._protocol, content, rows=self._rows)
            except UNREADABLE:
                return  # it can be saved all the same
            self._console.file.write(drawn)
            self._console.file.flush()
