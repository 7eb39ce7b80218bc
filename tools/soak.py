"""Soak test: random tasks and random faults for a given time, or until a number of tasks.

A seed repeats the tasks and the faults in their order, but not their timing. The test writes a
report to the folder of `--report`, and exits with 1 when a guarantee was violated.

With `--tasks`, the test consists of parts of `--minutes`, each with a new system and the next seed.
Each part is checked and saved when it ends, so a stopped test continues with its next part when it
is started again with the same `--report`.
"""

import argparse
import os
import random
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from common.domain.task import TaskStatus
from local_stack.loopback import no_proxy_environment
from tests.chaos.engines import DEADLY, DEMO_MODEL, STAND_IN
from tests.chaos.rig import Rig, Site
from tests.chaos.waiting import pause
from tools.soak_faults import Faults
from tools.soak_growth import GrowthSampler
from tools.soak_report import SoakReport, create_report

_ENGINES = {"demo": DEMO_MODEL, "stand_in": STAND_IN}
_FAILED = frozenset({TaskStatus.FAILED})
_MAX_IN_FLIGHT = 40
_COUNT_EVERY = 10
_TIMEOUT_SECONDS = 300.0
_PROGRESS_INTERVAL_SECONDS = 30.0
_print = partial(print, flush=True)


class Soak:
    """Submits on one thread, injects faults on another, and verifies at the end."""

    def __init__(self, rig: Rig, *, seed: int, fault_every_seconds: float, poison_share: float) -> None:
        self._rig = rig
        self._rng = random.Random(f"tasks {seed}")
        self._fault_rng = random.Random(f"faults {seed}")
        self._fault_every_seconds = fault_every_seconds
        self._poison_share = poison_share
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self.faults = Faults(rig, self._fault_rng)
        self.rejected = 0

    def run(self, seconds: float) -> None:
        """Run for this long, then repair everything and wait for all terminal states."""
        fault_thread = threading.Thread(target=self._inject_faults, name="faults")
        while not self._rig.accepted:  # redelivery needs at least one accepted task
            self._submit()
        fault_thread.start()
        try:
            self._submit_until(time.monotonic() + seconds)
        finally:
            self._over.set()
            fault_thread.join()
        if self._errors:
            raise self._errors[0]
        self._rig.site.api_links.restore()
        for worker in self._rig.workers:
            worker.links.restore()
        self._rig.wait_for_terminal_states(timeout_seconds=_TIMEOUT_SECONDS)

    def _submit_until(self, end: float) -> None:
        print_at = 0.0
        while time.monotonic() < end and not self._errors:
            if len(self._rig.accepted) % _COUNT_EVERY == 0:
                self._wait_for_capacity()
            self._submit()
            if time.monotonic() > print_at:
                print_at = time.monotonic() + _PROGRESS_INTERVAL_SECONDS
                self._print_progress(end - time.monotonic())

    def _inject_faults(self) -> None:
        try:
            while not self._over.wait(self._fault_rng.expovariate(1 / self._fault_every_seconds)):
                self.faults.inject()
        except BaseException as error:
            self._errors.append(error)

    def _wait_for_capacity(self) -> None:
        while (
            len(self._rig.accepted) - self._rig.site.mailbox.count_finished(self._rig.accepted)
            > _MAX_IN_FLIGHT
        ):
            if self._errors:
                return
            pause(0.05)

    def _submit(self) -> None:
        rng = self._rng
        poisonous, cancelled = rng.random() < self._poison_share, rng.random() < 0.02
        fields: dict[str, Any] = {
            "steps": rng.randint(1, 4),
            "num_images": rng.choice((1, 1, 1, 2, 3)),
            "seed": rng.randrange(1 << 31),
            "output_format": rng.choice(("png", "jpeg", "webp", "avif")),
        }
        prompt = DEADLY if poisonous else "a large red circle above a small blue square"
        try:
            response = self._rig.try_submit(
                prompt, permitted=_FAILED if poisonous else frozenset({TaskStatus.COMPLETED}), **fields
            )
            if not response.is_success:
                self.rejected += 1
                pause(0.2)
            elif cancelled and not poisonous:
                self._rig.cancel(response.json()["id"])
        except httpx.TransportError:  # the API is being killed
            self.rejected += 1
            pause(0.2)

    def _print_progress(self, seconds_left: float) -> None:
        accepted = len(self._rig.accepted)
        finished = self._rig.site.mailbox.count_finished(self._rig.accepted)
        faults = self.faults.injected.total()
        _print(f"{seconds_left:5.0f} s left: {accepted} accepted, {finished} finished, {faults} faults")


def soak(
    data_directory: Path, *, seed: int, minutes: float, engine: str, fault_every_seconds: float
) -> SoakReport:
    began = time.monotonic()
    with Site(data_directory) as site, Rig(site, engine=_ENGINES[engine]) as rig:
        rig.start_workers(2, CHAOS_STEP_SECONDS=0.01)
        # A deadly task crashes four engines, and the demo engine takes seconds to start.
        poison_share = 0.002 if engine == "stand_in" else 0.001
        run = Soak(rig, seed=seed, fault_every_seconds=fault_every_seconds, poison_share=poison_share)
        growth = GrowthSampler(
            processes=partial(_running_processes, rig),
            folder=data_directory,
            tasks=lambda: len(rig.accepted),
        )
        with growth.sampling():
            run.run(minutes * 60)
        evidence, verdict = rig.check_evidence()
    return create_report(
        seed=seed,
        minutes=(time.monotonic() - began) / 60,
        engine=engine,
        rejected=run.rejected,
        faults=run.faults.injected,
        documents=evidence.documents,
        verdict=verdict,
        tasks=len(evidence.accepted),
        memory=growth.memory(),
        disk=growth.disk(),
    )


def _running_processes(rig: Rig) -> dict[str, int]:
    processes = [*rig.site.stack.processes.values(), *(worker.process for worker in rig.workers)]
    return {process.name: process.pid for process in processes if process.is_running}


def soak_in_parts(folder: Path, part: Callable[[int], SoakReport], *, seed: int, tasks: int) -> SoakReport:
    """Add parts to those in the folder until this many tasks are accepted or a guarantee is violated.

    `part` takes the part's seed. The report of all parts is written after each.
    """
    parts = [SoakReport.read(path) for path in sorted((folder / "parts").glob("*.json"))]
    first = parts[0].seed if parts else seed
    while not parts or (sum(each.tasks for each in parts) < tasks and not parts[-1].findings):
        report = part(first + len(parts))
        report.write(folder / "parts", f"{len(parts):04}")
        parts.append(report)
        SoakReport.combined(parts).write(folder)
        _print(f"{sum(each.tasks for each in parts)} of {tasks} tasks in {len(parts)} parts")
    return SoakReport.combined(parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--tasks", type=int, help="repeat until so many tasks; continues an earlier test")
    parser.add_argument("--seed", type=int, default=None, help="default: random")
    parser.add_argument("--engine", choices=sorted(_ENGINES), default="demo")
    parser.add_argument("--fault-every", type=float, default=3.0, metavar="SECONDS", help="mean interval")
    parser.add_argument("--report", type=Path, default=Path(".darkroom/chaos"), metavar="FOLDER")
    arguments = parser.parse_args()
    os.environ.update(no_proxy_environment(os.environ))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end all processes of the system, too
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1_000_000)
    until = "" if arguments.tasks is None else f", repeated until {arguments.tasks} tasks"
    _print(f"Soak test of {arguments.minutes:g} minutes{until}. Repeat it with SEED={seed}.")

    def part(seed: int) -> SoakReport:
        with tempfile.TemporaryDirectory(prefix="darkroom-soak-") as folder:
            return soak(
                Path(folder),
                seed=seed,
                minutes=arguments.minutes,
                engine=arguments.engine,
                fault_every_seconds=arguments.fault_every,
            )

    if arguments.tasks is None:
        report = part(seed)
        report.write(arguments.report)
    else:
        report = soak_in_parts(arguments.report, part, seed=seed, tasks=arguments.tasks)
    _print(report.table())
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
