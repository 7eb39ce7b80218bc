"""The progress of one task's images, from the engine's reports. Thread-safe, no I/O."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from common.domain.images import Preview
from common.domain.task import Phase, Progress
from common.domain.task_records import ImageProgress, TaskWarning
from common.ports import Clock

_PHASE_ORDER = (
    Phase.DENOISING,
    Phase.DECODING,
    Phase.ENCODING_PROMPT,
    Phase.LOADING_MODEL,
    Phase.WAITING,
)
"""The task shows the first of these phases that any of its images is in."""
_MAX_PREVIEW_BYTES = 300_000
"""Of all previews of a task: Firestore limits documents to 1 MiB and sends each listener all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSnapshot:
    """The current state of a task, for its document."""

    progress: Progress
    previews: tuple[Preview, ...]


class ProgressTracker:
    """A ProgressListener that stores the latest report of each image."""

    def __init__(self, *, images: int, steps: int, clock: Clock, finished: Iterable[int] = ()) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._steps = steps
        self._phase_of = dict.fromkeys(range(images), Phase.WAITING)
        self._step_of = dict.fromkeys(range(images), 0)
        for index in finished:  # finished by earlier attempts
            self._phase_of[index], self._step_of[index] = Phase.UPLOADING, steps
        self._previews: dict[int, Preview] = {}
        self.warnings: tuple[TaskWarning, ...] = ()
        """The parts of the request that the model does not follow."""
        self._first_report: tuple[datetime, float] | None = None
        self._last_report: tuple[datetime, float] | None = None

    def phase_changed(self, index: int, phase: Phase) -> None:
        with self._lock:
            self._phase_of[index] = phase

    def warned(self, warnings: tuple[TaskWarning, ...]) -> None:
        """Store the warnings, which are the same for each image."""
        self.warnings = warnings

    def step_done(self, index: int, step: int) -> None:
        """Store the step. Steps never decrease, even if an image starts over after a crash."""
        with self._lock:
            self._step_of[index] = max(step, self._step_of[index])
            self._last_report = (self._clock.now(), self._value())
            self._first_report = self._first_report or self._last_report

    def preview_ready(self, index: int, step: int, jpeg: bytes) -> None:
        with self._lock:
            others = sum(len(preview.jpeg) for preview in self._previews.values() if preview.index != index)
            if others + len(jpeg) <= _MAX_PREVIEW_BYTES:
                self._previews[index] = Preview(index=index, step=step, jpeg=jpeg)

    def image_finished(self, index: int) -> None:
        """Record that image `index` has failed, or is generated and only its upload is left."""
        with self._lock:
            self._phase_of[index] = Phase.UPLOADING
            self._step_of[index] = self._steps

    @property
    def phase(self) -> Phase:
        """The phase of the task, over its images."""
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

    def snapshot(self) -> ProgressSnapshot:
        """Return a consistent snapshot of all of it."""
        with self._lock:
            progress = Progress(
                phase=self._phase(),
                step=min(self._step_of.values()),
                steps=self._steps,
                value=self._value(),
                images=tuple(
                    ImageProgress(index=index, phase=phase, step=self._step_of[index])
                    for index, phase in sorted(self._phase_of.items())
                ),
            )
            return ProgressSnapshot(
                progress=progress, previews=tuple(self._previews[k] for k in sorted(self._previews))
            )

    def seconds_left(self) -> float | None:
        """Estimate the remaining time of denoising at the current pace; None without a measurement."""
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
        return next((phase for phase in _PHASE_ORDER if phase in present), Phase.UPLOADING)

    def _value(self) -> float:
        return sum(self._step_of.values()) / (self._steps * len(self._step_of))
