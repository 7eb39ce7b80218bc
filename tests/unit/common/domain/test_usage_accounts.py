"""Every device second of a task is in its usage, in all cases; no finished image is lost."""

import math
from collections import defaultdict
from datetime import datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from common.domain.task import AttemptOutput, Claim, FailedImage, Failure, RunSeconds, Task, TaskStatus
from common.domain.usage_entry import UsageEntry
from tests.factories import NOW, parameters, stored_image, submitted_task

TTL = timedelta(seconds=60)
BROKEN = Failure(code="engine_crashed", message="the engine process died", retryable=True)
SECONDS = st.floats(min_value=0.0, max_value=100.0, allow_nan=False)


class Accounts(RuleBasedStateMachine):
    """A worker draws, stores, dies and returns tasks in any order; the test keeps its own totals."""

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.reported: dict[int, dict[int, float]] = defaultdict(dict)
        """By attempt and image: the seconds last reported to the task's document."""
        self.resumed: set[int] = set()
        self.spent: dict[int, float] = {}
        self.lost: dict[int, float] = {}
        self.images: dict[int, int] = {}
        """The attempt that stored each image in the document."""
        self.stored: tuple[int, ...] = ()
        self.refused: tuple[int, ...] = ()

    @initialize(images=st.integers(min_value=1, max_value=4))
    def submit(self, images: int) -> None:
        self.task: Task = submitted_task(parameters=parameters(num_images=images), attempts=3)

    # ── the worker's current work ────────────────────────────────────────────────────────────────────────

    @property
    def claim(self) -> Claim | None:
        return self.task.claim

    @property
    def output(self) -> AttemptOutput:
        return AttemptOutput(
            images=tuple(stored_image(self.task, index) for index in self.stored),
            failed_images=tuple(
                FailedImage(index=index, code="content_filtered", message="refused") for index in self.refused
            ),
            runs=tuple(
                RunSeconds(
                    index=index,
                    gpu_seconds=seconds,
                    resumed=index in self.resumed,
                    lost_seconds=self.lost[index],
                )
                for index, seconds in self.spent.items()
            ),
        )

    def report(self) -> None:
        self.reported[self.task.attempt] = dict(self.spent)
        self.images |= dict.fromkeys(self.stored, self.task.attempt)

    def missing(self) -> list[int]:
        return [index for index in self.task.missing_images if index not in (*self.stored, *self.refused)]

    # ── an attempt ───────────────────────────────────────────────────────────────────────────────────────

    @rule(resumes=st.booleans(), waits=st.sampled_from([timedelta(seconds=1), 2 * TTL]))
    @precondition(lambda self: not self.task.status.is_terminal)
    def claim_it(self, resumes: bool, waits: timedelta) -> None:
        """The task is queued, or its worker died: then only the seconds in the last heartbeat count."""
        self.now += waits
        if self.task.attempts_left == 0 or (self.claim and self.claim.expires_at > self.now):
            return
        self.task = self.task.claimed_by("worker", self.now, TTL)
        missing = self.task.missing_images
        self.resumed = set(missing) if resumes and self.task.attempt > 1 else set()
        self.spent, self.lost = dict.fromkeys(missing, 0.0), dict.fromkeys(missing, 0.0)
        self.stored = self.refused = ()

    @rule(seconds=SECONDS, crashes=st.booleans(), data=st.data())
    @precondition(lambda self: self.claim is not None and self.missing())
    def draw(self, seconds: float, crashes: bool, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(self.missing()))
        self.spent[index] += seconds
        if crashes:
            self.lost[index] += seconds

    @rule(data=st.data(), refused=st.booleans())
    @precondition(lambda self: self.claim is not None and self.missing())
    def finish_an_image(self, data: st.DataObject, refused: bool) -> None:
        index = data.draw(st.sampled_from(self.missing()))
        if refused:
            self.refused = (*self.refused, index)
        else:
            self.stored = (*self.stored, index)

    @rule()
    @precondition(lambda self: self.claim is not None)
    def heartbeat(self) -> None:
        assert self.claim is not None
        self.task = self.task.renewed(self.claim, self.now, TTL, output=self.output)
        self.report()

    @rule(how=st.sampled_from(["hand back", "release", "fail", "complete", "cancel"]))
    @precondition(lambda self: self.claim is not None)
    def end_the_attempt(self, how: str) -> None:
        claim, output, task = self.claim, self.output, self.task
        assert claim is not None
        self.report()
        if how == "hand back":
            self.task = task.handed_back(claim, self.now, output=output)
        elif how == "release" and task.attempts_left:
            self.task = task.released(claim, BROKEN, self.now, output=output)
        elif how == "complete":
            self.task = task.completed(
                claim, output.images, self.now, failed_images=output.failed_images, runs=output.runs
            )
        elif how == "cancel":
            cancelled = task.cancel_requested(self.now)
            self.task = cancelled.cancelled_by_holder(claim, self.now, output=output)
        else:
            self.task = task.failed(claim, BROKEN, self.now, output=output)

    @rule(seconds=st.integers(min_value=1, max_value=100))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # ── actions of the API ───────────────────────────────────────────────────────────────────────────────

    @rule()
    @precondition(lambda self: not self.task.status.is_terminal)
    def abandon(self) -> None:
        self.task = self.task.abandoned(BROKEN, self.now)

    @rule()
    @precondition(lambda self: self.task.status is TaskStatus.QUEUED)
    def cancel(self) -> None:
        self.task = self.task.cancelled(self.now)

    @rule()
    @precondition(lambda self: self.task.can_be_retried)
    def retry(self) -> None:
        self.task = self.task.resubmitted(self.now, attempts=3)

    # ── invariants ───────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def every_second_is_accounted_for(self) -> None:
        if not hasattr(self, "task"):
            return
        worked = sum(sum(runs.values()) for runs in self.reported.values())
        usage = self.task.usage
        in_progress = sum(run.gpu_seconds for run in self.claim.runs) if self.claim else 0.0
        assert math.isclose(usage.total_seconds + in_progress, worked, abs_tol=1e-6)
        assert min(usage.wasted_gpu_seconds, usage.gpu_seconds or 0.0) >= 0.0
        if self.task.status.is_terminal:
            assert math.isclose((usage.gpu_seconds or 0.0) + usage.wasted_gpu_seconds, worked, abs_tol=1e-6)
        entry = UsageEntry.of_deleted(self.task, self.now)
        assert math.isclose(entry.gpu_seconds + entry.wasted_gpu_seconds, worked, abs_tol=1e-6)

    @invariant()
    def every_attempt_says_what_it_cost(self) -> None:
        for attempt in self.task.history if hasattr(self, "task") else ():
            assert attempt.gpu_seconds is not None
            expected = sum(self.reported[attempt.attempt].values())
            assert math.isclose(attempt.gpu_seconds, expected, abs_tol=1e-6)

    @invariant()
    def every_reported_image_is_kept_under_its_own_attempt(self) -> None:
        if not hasattr(self, "task"):
            return
        assert {image.index for image in self.task.images} == self.images.keys()
        for image in self.task.images:
            assert f"/attempt-{self.images[image.index]}/" in image.object_name
        assert not self.images.keys() & {image.index for image in self.task.failed_images}
        if self.task.status is TaskStatus.FAILED:
            assert not self.task.images


TestAccounts = Accounts.TestCase
