"""The time from zero workers to the first image, by where the weights are. The rates are assumptions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from benchmarks.autoscaling.autoscalers import OURS, Autoscaler
from benchmarks.autoscaling.cluster import Physics
from benchmarks.autoscaling.outcomes import World, simulate
from benchmarks.autoscaling.traces import HOUR, regular_bursts
from benchmarks.measurement import Spread, spread_of

START_SECONDS = 15.0
"""Of the process, CUDA and the warm-up, besides reading the weights. An assumption."""
MODELS_GB = {"SDXL, fp16": 7.0, "FLUX.1, bf16": 34.0}
"""Sizes of the weights that a worker reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the weights are, and how fast a new worker reads them."""

    name: str
    megabytes_per_second: float
    physics: Physics = field(default_factory=Physics)
    autoscaler: Autoscaler = OURS

    def world(self, gigabytes: float) -> World:
        load_seconds = START_SECONDS + 1_000 * gigabytes / self.megabytes_per_second
        return World(physics=replace(self.physics, load_seconds=load_seconds))


PLACES = (
    Place(name="the hub, on each node", megabytes_per_second=100.0),
    Place(name="the bucket, mounted on GKE", megabytes_per_second=200.0),
    Place(name="a secondary boot disk", megabytes_per_second=165.0),
    Place(name="Hyperdisk ML", megabytes_per_second=800.0),
    Place(
        name="the bucket, on Cloud Run",
        megabytes_per_second=200.0,
        # An instance with a GPU needs no node. It starts within seconds, and is not billed after its end.
        physics=Physics(node_seconds=15.0, node_idle_seconds=0.0),
        autoscaler=replace(OURS, polling_seconds=60.0),  # Cloud Scheduler's shortest interval
    ),
)
"""docs/operating/fleet-size.md, "Cold starts", has the source of each rate."""


def cold_start(place: Place, gigabytes: float, seeds: Sequence[int]) -> Spread:
    """Return the times from the first burst to its first image, from zero workers."""
    return spread_of(
        [
            simulate(
                regular_bursts(Random(seed), gap_seconds=HOUR, count=1),
                place.autoscaler,
                place.world(gigabytes),
                seed=seed,
                hours=2,
            ).first_images[0]
            for seed in seeds
        ]
    )


def table(seeds: Sequence[int]) -> Iterator[str]:
    """Yield a row for each place."""
    yield f"from zero workers to the first image: {', '.join(MODELS_GB)}"
    for place in PLACES:
        cells = (cold_start(place, size, seeds).format(" s", 0) for size in MODELS_GB.values())
        yield f"  {place.name:28} {'  '.join(cells)}"
