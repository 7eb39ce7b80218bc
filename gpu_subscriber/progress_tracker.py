"""ProgressTracker: how far the images of one task are, gathered from the engine's reports. Thread-safe, no I/O."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from common.domain.images import Preview
from common.domain.task import Phase, Progress
from common.domain.task_records import TaskWarning
from common.ports import Clock

_TELLING_ORDER = (
    Phase.DENOISING,
    Phase.DECODING,
    Phase.ENCODING_PROMPT,
    Phase.LOADING_MODEL,
    Phase.WAITING,
)
"""A task of several images is in many phases at once; it tells the first of these that any of them is in."""
_MAX_PREVIEW_BYTES = 300_000
"""All previews of a task together: Firestore's documents end at 1 MiB, and each listener is sent all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a task stands: what its document should say."""

    progress: Progress
    previews: tuple[Preview, ...]


class ProgressTracker:
    """A ProgressListener that remembers the latest report of each image."""

    def __init__(self, *, images: int, steps: int, clock: Clock, finished: Iterable[int] = ()) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._steps = steps
        self._phase_of = dict.fromkeys(range(images), Phase.WAITING)
        self._step_of = dict.fromkeys(range(images), 0)
        for index in finished:  # by earlier attempts
            self._phase_of[index], self._step_of[index] = Phase.UPLOADING, steps
        self._previews: dict[int, Preview] = {}
        self.warnings: tuple[TaskWarning, ...] = ()
        """What the model does not obey of the task's parameters."""
        self._first_report: tuple[datetime, float] | None = None
        self._last_report: tuple[datetime, float] | None = None

    def phase_changed(self, index: int, phase: Phase) -> None:
        """See ProgressListener."""
        with self._lock:
            self._phase_of[index] = phase

    def warned(self, warnings: tuple[TaskWarning, ...]) -> None:
        """See ProgressListener. The same for each image."""
        self.warnings = warnings

    def step_done(self, index: int, step: int) -> None:
        """See ProgressListener. Steps never go back, not even when an image is drawn once more after a crash."""
        with self._lock:
            self._step_of[index] = max(step, self._step_of[index])
            self._last_report = (self._clock.now(), self._value())
            self._first_report = self._first_report or self._last_report

    def preview_ready(self, index: int, step: int, jpeg: bytes) -> None:
        """See ProgressListener."""
        with self._lock:
            others = sum(len(preview.jpeg) for preview in self._previews.values() if preview.index != index)
            if others + len(jpeg) <= _MAX_PREVIEW_BYTES:
                self._previews[index] = Preview(index=index, step=step, jpeg=jpeg)

    def image_finished(self, index: int) -> None:
        """Image `index` is drawn and only its upload is left, or it has failed."""
        with self._lock:
            self._phase_of[index] = Phase.UPLOADING
            self._step_of[index] = self._steps

    @property
    def phase(self) -> Phase:
        """The phase the task is in, taken over its images."""
        with self._lock:
            return self._phase()

    @property
    def value(self) -> float:
        """The mean over images of the share of steps done, 0 to 1."""
        with self._lock:
            return self._value()

    @property
    def newest_preview(self) -> Preview | None:
        """The preview of the furthest step; None before the first."""
        with self._lock:
            return max(self._previews.values(), key=lambda preview: preview.step, default=None)

    def standing(self) -> Standing:
        """All of it at one moment."""
        with self._lock:
            progress = Progress(
                phase=self._phase(), step=min(self._step_of.values()), steps=self._steps, value=self._value()
            )
            return Standing(
                progress=progress, previews=tuple(self._previews[k] for k in sorted(self._previews))
            )

    def seconds_left(self) -> float | None:
        """How long the denoising will take yet, at the pace seen so far; None when nothing was seen yet."""
        with self._lock:
            if self._value() >= 1.0:
                return 0.0
            if self._first_report is None or self._last_report is None:
                return None
            (began, value_then), (seen, value_now) = self._first_report, self._last_report
            if value_now <= value_then:
                return None
            return (1.0 - value_now) * (seen - began).total_seconds() / (value_now - value_then)

    def _phase(self) -> Phase:
        present = set(self._phase_of.values())
        return next((phase for phase in _TELLING_ORDER if phase in present), Phase.UPLOADING)

    def _value(self) -> float:
        return sum(self._step_of.values()) / (self._steps * len(self._step_of))
