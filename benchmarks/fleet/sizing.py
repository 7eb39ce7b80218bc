"""Fleets for a rate of images: how many GPUs, at what cost, and how long callers wait."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import simpy

from benchmarks.autoscaling.autoscalers import DEMAND, MESSAGES, OURS, TUTORIAL_KEDA, Autoscaler, Controller
from benchmarks.autoscaling.cluster import FleetSample, Physics, repeat
from benchmarks.autoscaling.signals import DemandMetric, Signal, UndeliveredMessages
from benchmarks.autoscaling.traces import HOUR, Submission
from benchmarks.fleet.shared_cluster import SharedCluster
from benchmarks.fleet.simulated_engine import Image
from benchmarks.fleet.step_times import StepTimes
from benchmarks.measurement import percentile
from gpu_subscriber.engine.batches.batch_caps import BatchCaps

MAX_BATCH = 8
"""The engine's own default."""
MOST_UTILISATION = 0.95
"""A busier fleet of a constant size would need longer runs, because its queue hardly shrinks."""
WARM_UP_SECONDS = 1_800.0
"""Images that arrive earlier do not count: a scaled fleet starts empty."""
_ALWAYS_READY = Physics(node_seconds=1e-9, container_seconds=0.0, load_seconds=0.0)
_SAMPLE_SECONDS = 15.0
_MOST_SECONDS = 24 * HOUR
"""How long after the last arrival a run ends at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many images may share a step, and which autoscaler sets the number of workers; None: it is fixed."""

    name: str
    max_batch: int
    autoscaler: Autoscaler | None = None


POLICIES = tuple(
    Policy(name=f"{sharing}, {fleet}", max_batch=max_batch, autoscaler=autoscaler)
    for sharing, max_batch in (("one at a time", 1), ("shared steps", MAX_BATCH))
    for fleet, autoscaler in (
        ("always on", None),
        ("scale to zero", TUTORIAL_KEDA),
        ("darkroom's policy", OURS),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Images that arrive independently of one another, at a constant mean rate."""

    images_per_hour: float
    steps: int
    hours: float
    mix: Mapping[int, float]
    """The share of each side; all images are square."""

    def images(self, times: StepTimes, *, max_batch: int, seed: int) -> tuple[Image, ...]:
        """Return the images in order of arrival; the same for every policy with the same seed."""
        random = Random(seed)
        sides, shares = list(self.mix), list(self.mix.values())
        cap = times.caps(max_batch=max_batch)
        found: list[Image] = []
        at = random.expovariate(self.images_per_hour / HOUR)
        while at < self.hours * HOUR:
            size = times.of_side(random.choices(sides, shares)[0])
            seconds = size.image_seconds(self.steps, batch=cap.cap_of(size.key))
            found.append(
                Image(Submission(at, seconds, seconds), seconds, key=size.key, steps_left=self.steps)
            )
            at += random.expovariate(self.images_per_hour / HOUR)
        return tuple(found)

    def image_seconds(self, times: StepTimes, *, max_batch: int) -> float:
        """Return the device's mean time per image in full batches."""
        cap = times.caps(max_batch=max_batch)
        each = [
            share * times.of_side(side).image_seconds(self.steps, batch=cap.cap_of(times.of_side(side).key))
            for side, share in self.mix.items()
        ]
        return sum(each) / sum(self.mix.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The results of one run, over the images that count."""

    waits: tuple[float, ...]
    """Seconds from the submission to the image, in order of arrival."""
    unfinished: int
    mean_gpus: float
    """Billed."""
    most_gpus: int
    throughput: float
    """Images per second from the first arrival to the last image."""

    @property
    def mean(self) -> float:
        return statistics.fmean(self.waits)

    @property
    def p50(self) -> float:
        return percentile(self.waits, 50)

    @property
    def p99(self) -> float:
        return percentile(self.waits, 99)

    def cost_per_image(self, *, gpu_hour: float, images_per_hour: float) -> float:
        """Return the price of the billed GPU hours per image, in the unit of `gpu_hour`."""
        return self.mean_gpus * gpu_hour / images_per_hour


def run_fixed(images: Sequence[Image], times: StepTimes, *, caps: BatchCaps, gpus: int, seed: int) -> Outcome:
    """Serve the images with a constant number of ready workers."""
    env = simpy.Environment()
    physics = replace(_ALWAYS_READY, max_nodes=gpus)
    cluster = SharedCluster(env, physics, Random(seed), times=times, caps=caps)
    cluster.set_replicas(gpus)
    cluster.finish_all(images, within_seconds=_MOST_SECONDS)
    return _outcome(cluster, images, since=0.0, fixed_gpus=gpus)


def run_scaled(
    images: Sequence[Image],
    times: StepTimes,
    autoscaler: Autoscaler,
    *,
    max_batch: int,
    max_gpus: int,
    seed: int,
) -> Outcome:
    """Serve the images with workers that an autoscaler starts and stops, from none."""
    env = simpy.Environment()
    cluster = SharedCluster(
        env, Physics(max_nodes=max_gpus), Random(seed), times=times, caps=times.caps(max_batch=max_batch)
    )
    scaler = replace(autoscaler, max_replicas=max_gpus)
    signals: dict[str, Signal] = {
        DEMAND: DemandMetric(cluster, Random(seed), target_seconds=scaler.target_seconds),
        MESSAGES: UndeliveredMessages(cluster, Random(seed)),
    }
    Controller(cluster, scaler, signals).start(offset_seconds=Random(seed).uniform(0, 60))
    env.process(repeat(cluster, _SAMPLE_SECONDS, cluster.record_fleet))
    cluster.finish_all(images, within_seconds=_MOST_SECONDS)
    return _outcome(cluster, images, since=WARM_UP_SECONDS)


def smallest_fleet(
    images: Sequence[Image],
    times: StepTimes,
    *,
    max_batch: int,
    load: float,
    p99_seconds: float,
    seed: int,
) -> tuple[int, Outcome]:
    """Return the smallest constant fleet whose p99 is at most `p99_seconds`, and its outcome.

    `load` is the number of GPUs that full batches would keep busy; at most MOST_UTILISATION of the
    fleet. Raises ValueError if a fleet of ten times as many is too slow, because then an image
    alone is.
    """

    def outcome(gpus: int) -> Outcome:
        fresh = [replace(image) for image in images]
        return run_fixed(fresh, times, caps=times.caps(max_batch=max_batch), gpus=gpus, seed=seed)

    enough = max(1, math.ceil(load / MOST_UTILISATION))
    too_few = enough - 1
    found = outcome(enough)
    while found.p99 > p99_seconds:
        if enough > 10 * load + 10:
            raise ValueError(f"no fleet keeps a p99 of {p99_seconds:g} s: one image takes {found.p50:.1f} s")
        too_few, enough = enough, math.ceil(1.25 * enough + 0.5)
        found = outcome(enough)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        tried = outcome(middle)
        if tried.p99 <= p99_seconds:
            enough, found = middle, tried
        else:
            too_few = middle
    return enough, found


def _outcome(
    cluster: SharedCluster, images: Sequence[Image], *, since: float, fixed_gpus: int | None = None
) -> Outcome:
    finished = [image for image in images if image.finished_at is not None]
    last = max(image.submission.at for image in images)
    billed = [sample.nodes for sample in cluster.ledger.fleet if _is_within(sample, since, last)]
    ends = [image.finished_at or 0.0 for image in finished]
    return Outcome(
        waits=tuple(
            (image.finished_at or 0.0) - image.submission.at
            for image in finished
            if image.submission.at >= since
        ),
        unfinished=len(images) - len(finished),
        mean_gpus=statistics.fmean(billed) if fixed_gpus is None else fixed_gpus,
        most_gpus=max(billed) if fixed_gpus is None else fixed_gpus,
        throughput=len(finished) / (max(ends) - images[0].submission.at),
    )


def _is_within(sample: FleetSample, since: float, until: float) -> bool:
    return since <= sample.at <= until
