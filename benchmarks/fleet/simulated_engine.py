"""A worker's engine with measured times instead of a device.

Batches are planned by the engine's own `plan_batch` and `RoundRobin`, charged as in
`StepEngine.advance`. One model, one lane.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.autoscaling.cluster import Task
from benchmarks.fleet.step_times import StepTimes
from common.domain.task import Lane
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import (
    BatchKey,
    Candidate,
    LastLoad,
    SchedulingDelays,
    plan_batch,
)
from gpu_subscriber.engine.batches.round_robin import RoundRobin
from gpu_subscriber.engine.engine_settings import EngineSettings

_SETTINGS = EngineSettings(models=())
_DELAYS = SchedulingDelays(
    model_switch_seconds=_SETTINGS.model_switch_patience_seconds,
    batch_lane_seconds=_SETTINGS.batch_lane_patience_seconds,
)


@dataclass(slots=True, eq=False, kw_only=True)
class Image(Task):
    """One image: the batch that it can share steps with, and its remaining work."""

    key: BatchKey
    steps_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the device does next: `count` equal steps of one batch, and the decoding of its finished images."""

    images: tuple[Image, ...]
    count: int
    expected: float
    """The round robin's charge at the beginning."""
    seconds: float

    def count_after(self, seconds: float) -> int:
        """Return how many whole steps were done when the device stopped after `seconds`."""
        return min(self.count - 1, int(self.count * seconds / self.seconds))


class SimulatedEngine:
    """Advances images step by step. `slots` is the largest number of images that it gets at once."""

    def __init__(
        self,
        times: StepTimes,
        *,
        caps: BatchCaps,
        slots: int,
        plan: Callable[..., tuple[Candidate, ...]] = plan_batch,
    ) -> None:
        self._times = times
        self._caps = caps
        self._plan = plan
        self._slots = slots
        self._round_robin = RoundRobin[BatchKey]()
        self._images: dict[str, Image] = {}
        self._candidates: dict[str, Candidate] = {}
        self._arrivals = 0

    @property
    def is_busy(self) -> bool:
        """Whether there is any image."""
        return bool(self._images)

    def receive(self, image: Image, *, now: float) -> None:
        """Add an image. It takes its first step at the earliest after the current one."""
        self._arrivals += 1
        run_id = str(self._arrivals)
        self._images[run_id] = image
        self._candidates[run_id] = Candidate(
            run_id=run_id,
            key=image.key,
            lane=Lane.INTERACTIVE,
            queued_at=image.submission.at,
            arrived_at=now,
            arrival=self._arrivals,
        )

    def next_step(self, now: float) -> Step:
        """Plan the next step; the engine must be busy.

        A worker with one slot cannot get another image before this one ends, so all its steps are one.
        """
        batch = self._plan(
            self._candidates.values(),
            round_robin=self._round_robin,
            loaded=frozenset({self._times.model}),
            cap_of=self._caps.cap_of,
            now=now,
            last_load=LastLoad(),
            delays=_DELAYS,
        )
        images = tuple(self._images[candidate.run_id] for candidate in batch)
        times = self._times.sizes[images[0].key]
        count = images[0].steps_left if self._slots == 1 else 1
        finishing = sum(image.steps_left == count for image in images)
        return Step(
            images=images,
            count=count,
            expected=self._round_robin.expect(images[0].key),
            seconds=count * times.step_seconds(len(images)) + times.around_seconds(finishing),
        )

    def complete(self, step: Step) -> list[Image]:
        """Record that the step was done, and return the images that it finished."""
        self._round_robin.settle(step.images[0].key, step.expected, step.seconds)
        for image in step.images:
            image.steps_left -= step.count
        finished = [image for image in step.images if image.steps_left == 0]
        for run_id, image in tuple(self._images.items()):
            if image.steps_left == 0:
                del self._images[run_id], self._candidates[run_id]
        if not self._images:
            self._round_robin.clear()
        return finished
