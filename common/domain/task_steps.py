"""Shared steps of the transitions of a Task. The transitions themselves are in `task.py`."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from common.domain.images import FailedImage
from common.domain.task_fields import TaskFields
from common.domain.task_records import (
    MAX_HISTORY,
    AttemptOutput,
    Claim,
    Ending,
    Failure,
    Phase,
    Progress,
    TaskStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSteps(TaskFields):
    """Parts of transitions. None of them checks whether the task's status allows it."""

    def _with_output(self, output: AttemptOutput) -> Self:
        """Add the output of the claim's holder. Stored images are never replaced."""
        if self.claim is None:
            return self
        images = {image.index: image for image in (*output.images, *self.images)}
        failed = {image.index: image for image in (*output.failed_images, *self.failed_images)}
        return replace(
            self,
            claim=replace(
                self.claim,
                runs=output.runs or self.claim.runs,
                generating_since=self.claim.generating_since or output.generating_since,
            ),
            images=tuple(images[index] for index in sorted(images)),
            failed_images=tuple(failed[index] for index in sorted(failed) if index not in images),
        )

    def _first_progress(self) -> Progress:
        """Return the progress of an attempt that has not begun; finished images count."""
        count = self.parameters.num_images
        return Progress(steps=self.parameters.computed_steps, value=min(1.0, len(self.images) / count))

    def _requeued(self, ending: str, now: datetime) -> Self:
        return replace(
            self._with_attempt_ended(ending, now),
            status=TaskStatus.QUEUED,
            updated_at=now,
            queued_at=now,
            previews=(),
            progress=self._first_progress(),
        )

    def _completed(self, now: datetime, *, ending: str = TaskStatus.COMPLETED) -> Self:
        began = None if self.claim is None else self.claim.generating_since or self.claim.claimed_at
        steps = self.parameters.computed_steps
        done = Progress(phase=Phase.DONE, step=steps, steps=steps, value=1.0)
        ended = self._with_attempt_ended(ending, now)._ended(TaskStatus.COMPLETED, now)
        inference = ended.usage.inference_seconds if began is None else (now - began).total_seconds()
        return replace(ended, progress=done, usage=replace(ended.usage, inference_seconds=inference))

    def _failed_or_partial(self, failure: Failure, now: datetime) -> Self:
        """End a task that gets no further images: completed if it has images, else failed."""
        if not self.images:
            return self._ended(TaskStatus.FAILED, now, failure=failure)
        missing = tuple(
            FailedImage(index=index, code=failure.code, message=failure.message)
            for index in self.missing_images
        )
        failed = sorted((*self.failed_images, *missing), key=lambda image: image.index)
        return replace(self, failed_images=tuple(failed))._completed(now, ending=failure.code)

    def _ended(self, status: TaskStatus, now: datetime, *, failure: Failure | None = None) -> Self:
        over = self._with_attempt_ended(status.value if failure is None else failure.code, now)
        return replace(
            over,
            status=status,
            updated_at=now,
            finished_at=now,
            expires_at=now + self.keep_for,
            failure=failure,
            previews=(),
            usage=over.usage.closed(),
        )

    def _without_dead_claim(self, now: datetime, *, silent: Claim | None = None) -> Self:
        """Remove a dead claim and add its attempt to the history.

        An expired claim ended at its expiry, a silent one now.
        """
        if self.claim is not None and self.claim.expires_at <= now:
            return self._with_attempt_ended(Ending.CLAIM_EXPIRED, self.claim.expires_at)
        if self.claim is not None and self.claim == silent:
            return self._with_attempt_ended(Ending.HOLDER_SILENT, now)
        return self

    def _with_attempt_ended(self, ending: str, at: datetime) -> Self:
        """Remove the claim, and add its attempt to the history and its seconds to the usage."""
        if self.claim is None:
            return self
        return replace(
            self,
            claim=None,
            history=(*self.history, self.claim.ended(ending, at))[-MAX_HISTORY:],
            usage=self.usage_with_claim,
        )
