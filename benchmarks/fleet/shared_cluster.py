"""The cluster of `benchmarks.autoscaling`, with workers whose images share steps."""

from collections.abc import Sequence
from random import Random

import simpy

from benchmarks.autoscaling.cluster import Cluster, Physics, Pod, Process, Task
from benchmarks.fleet.simulated_engine import Image, SimulatedEngine
from benchmarks.fleet.step_times import StepTimes
from gpu_subscriber.engine.batches.batch_caps import BatchCaps


class SharedCluster(Cluster):
    """Each worker gets as many images as share a step, and advances them as the engine does.

    Pub/Sub delivers to any worker with a free slot; the simulation chooses one at random. A removed
    worker returns its images with their finished steps.
    """

    def __init__(
        self,
        env: simpy.Environment,
        physics: Physics,
        random: Random,
        *,
        times: StepTimes,
        caps: BatchCaps,
    ) -> None:
        super().__init__(env, physics, random)
        self._times = times
        self._caps = caps
        self._slots = caps.measured_cap_of(times.main.key)
        self._deliveries = random
        self._engines: dict[Pod, SimulatedEngine] = {}
        self._image_added: dict[Pod, simpy.Event] = {}
        self._unfinished = 0
        self._all_finished = env.event()

    def finish_all(self, images: Sequence[Image], *, within_seconds: float) -> None:
        """Submit the images at their times, and run until all are finished or the time is over."""
        self._unfinished = len(images)
        self.env.process(self._submit_all(images))
        last = images[-1].submission.at
        self.env.run(until=self._all_finished | self.env.timeout(last + within_seconds - self.env.now))

    def _submit_all(self, images: Sequence[Image]) -> Process:
        for image in images:
            yield self.env.timeout(image.submission.at - self.env.now)
            self.submit(image)

    def _finish(self, pod: Pod, task: Task) -> None:
        super()._finish(pod, task)
        self._unfinished -= 1
        if not self._unfinished:
            self._all_finished.succeed()

    def _enqueue(self, task: Task, *, first: bool = False) -> None:
        super()._enqueue(task, first=first)
        self._deliver()

    def _deliver(self) -> None:
        while self.waiting:
            free = [pod for pod in self._engines if len(pod.running) < self._slots]
            if not free:
                return
            pod, image = self._deliveries.choice(free), self.waiting.pop(0)
            assert isinstance(image, Image)
            pod.running.append(image)
            self._engines[pod].receive(image, now=self.env.now)
            if (added := self._image_added.pop(pod, None)) is not None:
                added.succeed()

    def _process_tasks(self, pod: Pod) -> Process:
        engine = self._engines[pod] = SimulatedEngine(self._times, caps=self._caps, slots=self._slots)
        self._deliver()
        while True:
            while not engine.is_busy:
                self._image_added[pod] = self.env.event()
                yield self._image_added[pod]
            step, began = engine.next_step(self.env.now), self.env.now
            try:
                yield self.env.timeout(step.seconds)
            except simpy.Interrupt:
                for image in step.images:
                    image.steps_left -= step.count_after(self.env.now - began)
                raise
            for image in engine.complete(step):
                self._finish(pod, image)
            self._deliver()

    def _remove(self, pod: Pod) -> None:
        self._engines.pop(pod, None)  # no deliveries from now on
        super()._remove(pod)

    def _drain(self, pod: Pod) -> Process:
        self._engines.pop(pod, None)
        self._image_added.pop(pod, None)
        returned, pod.running = pod.running, []
        for image in reversed(returned):
            self._enqueue(image, first=True)
        yield self.env.timeout(0)
