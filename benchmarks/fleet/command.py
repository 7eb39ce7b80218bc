"""Predict the GPUs, the cost per image and the waiting times of a fleet, from measured step times.

Workers plan their steps with the engine's own rules. Without --times the demo model is measured on
one thread of this machine.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.fleet.sizing import (
    POLICIES,
    Outcome,
    Policy,
    Traffic,
    run_scaled,
    smallest_fleet,
)
from benchmarks.fleet.step_times import StepTimes, read_step_times

RATES = (10.0, 1_000.0, 100_000.0)
_IMAGES_FIXED = 8_000
"""Enough for a p99 of a fleet that is in its steady state at once."""
_IMAGES_SCALED = 4_000
_LEAST_HOURS, _MOST_HOURS = 1.5, 96.0
_HEAD = "| model | images an hour | policy | GPUs: mean, most | cost of 1,000 images | p50 | p99 |"
VALIDATED_IMAGES = 60
_CALIBRATION_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A row of the table: one model, rate and policy."""

    model: str
    images_per_hour: float
    policy: str
    gpus: float
    most_gpus: int
    cost_per_1000: float
    p50_seconds: float
    p99_seconds: float
    images: int
    unfinished: int

    def as_markdown(self) -> str:
        lost = f"; {self.unfinished} unfinished" if self.unfinished else ""
        return (
            f"| {self.model} | {self.images_per_hour:,.0f} | {self.policy} | {self.gpus:.1f}, {self.most_gpus} | "
            f"{self.cost_per_1000:,.2f} | {self.p50_seconds:.1f} s | {self.p99_seconds:.1f} s{lost} |"
        )


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.validate:
        return _validate(asked)
    try:
        models = read_step_times(asked.times) if asked.times else _measured_here(asked)
        rows: list[Prediction] = []
        print(f"{_HEAD}\n|{'---|' * _HEAD.count(' | ')}---|")
        for row in (row for times in models for row in predictions(times, asked)):
            rows.append(row)
            print(row.as_markdown(), flush=True)
    except (OSError, KeyError, ValueError) as error:
        parser.error(f"{type(error).__name__}: {error}")
    if asked.output is not None:
        asked.output.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fleet", description=__doc__)
    parser.add_argument(
        "--times",
        type=Path,
        metavar="FILE",
        help="the JSON file of `benchmarks gpu`, or one with the same list `step_times`",
    )
    parser.add_argument(
        "--price", type=float, default=1.0, help="price of a GPU hour, in any currency; default: 1"
    )
    parser.add_argument(
        "--rates",
        type=float,
        nargs="+",
        default=RATES,
        metavar="N",
        help="images an hour; default: 10 1000 100000",
    )
    parser.add_argument("--steps", type=int, default=30, help="denoising steps of an image; default: 30")
    parser.add_argument(
        "--mix",
        nargs="+",
        default=[],
        metavar="SIDE=SHARE",
        help="square images by their side, such as 1024=0.7 512=0.3; default: the largest measured size",
    )
    parser.add_argument(
        "--p99",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="the time within which 99 %% of the images are finished, for fleets of a constant size; default: 30",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals; default: 1")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table as JSON")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="predict nothing: run the engine with the demo model on arrivals, and compare it with the simulation. "
        "--steps and --seed apply",
    )
    return parser


def predictions(times: StepTimes, asked: argparse.Namespace) -> Iterator[Prediction]:
    """Yield a row for each rate and policy."""
    mix = _mix(asked.mix, times)
    for rate in asked.rates:
        gpus_of_fixed: dict[int, int] = {}
        for policy in POLICIES:
            images_per_run = _IMAGES_FIXED if policy.autoscaler is None else _IMAGES_SCALED
            hours = images_per_run / rate
            if policy.autoscaler is not None:
                hours = min(max(hours, _LEAST_HOURS), _MOST_HOURS)
            traffic = Traffic(images_per_hour=rate, steps=asked.steps, hours=hours, mix=mix)
            outcome = _outcome(policy, traffic, times, asked, gpus_of_fixed)
            yield _prediction(times, policy, rate, outcome, asked.price)


def _outcome(
    policy: Policy,
    traffic: Traffic,
    times: StepTimes,
    asked: argparse.Namespace,
    gpus_of_fixed: dict[int, int],
) -> Outcome:
    """Run a policy. A scaled fleet may have twice the GPUs of the constant one, and a few more."""
    images = traffic.images(times, max_batch=policy.max_batch, seed=asked.seed)
    if policy.autoscaler is None:
        load = traffic.images_per_hour / 3_600 * traffic.image_seconds(times, max_batch=policy.max_batch)
        gpus, outcome = smallest_fleet(
            images, times, max_batch=policy.max_batch, load=load, p99_seconds=asked.p99, seed=asked.seed
        )
        gpus_of_fixed[policy.max_batch] = gpus
        return outcome
    return run_scaled(
        images,
        times,
        policy.autoscaler,
        max_batch=policy.max_batch,
        max_gpus=2 * gpus_of_fixed[policy.max_batch] + 4,
        seed=asked.seed,
    )


def _prediction(times: StepTimes, policy: Policy, rate: float, outcome: Outcome, price: float) -> Prediction:
    return Prediction(
        model=times.model,
        images_per_hour=rate,
        policy=policy.name,
        gpus=outcome.mean_gpus,
        most_gpus=outcome.most_gpus,
        cost_per_1000=1_000 * outcome.cost_per_image(gpu_hour=price, images_per_hour=rate),
        p50_seconds=outcome.p50,
        p99_seconds=outcome.p99,
        images=len(outcome.waits),
        unfinished=outcome.unfinished,
    )


def _mix(asked: Sequence[str], times: StepTimes) -> dict[int, float]:
    if not asked:
        return {times.main.key.width: 1.0}
    pairs = (entry.partition("=") for entry in asked)
    mix = {int(side): float(share or 1.0) for side, _, share in pairs}
    for side in mix:
        times.of_side(side)
    return mix


def _measured_here(asked: argparse.Namespace) -> tuple[StepTimes, ...]:
    """Measure the demo model. Imports torch, which predictions from a file do without."""
    from benchmarks.fleet.calibration import StepTimesMeter  # noqa: PLC0415
    from benchmarks.measured_engine import measured_engine  # noqa: PLC0415

    with measured_engine(cpu_threads=1) as engine:
        side = engine.spec.defaults.width
        meter = StepTimesMeter(engine, sides=(side, side // 2), batches=(1, 2, 4, 8), steps=4)
        for _ in range(_CALIBRATION_ROUNDS):
            meter.measure()
    return (meter.times,)


def _validate(asked: argparse.Namespace) -> int:
    from benchmarks.fleet.validation import compare  # noqa: PLC0415
    from benchmarks.measured_engine import measured_engine  # noqa: PLC0415

    print("| images in a step | load | images per second | mean time | p99 |\n|---|---|---|---|---|")
    with measured_engine(cpu_threads=1) as engine:
        side = engine.spec.defaults.width
        steps = min(asked.steps, engine.spec.limits.max_steps)
        for found in compare(
            engine, sides=(side, side // 2), steps=steps, images=VALIDATED_IMAGES, seed=asked.seed
        ):
            cells = [
                f"{predicted:.2f} for {measured:.2f} ({deviation:+.1%})"
                for predicted, measured, deviation in zip(
                    found.predicted, found.measured, found.deviations, strict=True
                )
            ]
            print(f"| {found.max_batch} | {found.load:.0%} | {' | '.join(cells)} |", flush=True)
    return 0
