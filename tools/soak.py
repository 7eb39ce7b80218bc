"""A soak: tasks without end, and faults without end, from dice with a known seed.

    python -m tools.soak --minutes 30 [--seed 7] [--engine stand_in]

The seed repeats what is asked for and what is broken, in which order. It cannot repeat the machine's own timing.
Exits with 1 when any promise was broken. The report lies in the folder that `--report` names.
"""

import argparse
import os
import random
import secrets
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from common.domain.task import TaskStatus
from local_stack.loopback import no_proxy_environment
from tests.chaos.engines import DEADLY, DEMO_MODEL, STAND_IN
from tests.chaos.rig import Rig, Site
from tests.chaos.waiting import let_pass
from tools.soak_faults import Faults
from tools.soak_report import SoakReport, reported

_ENGINES = {"demo": DEMO_MODEL, "stand_in": STAND_IN}
_FAILED = frozenset({TaskStatus.FAILED})
_MOST_IN_FLIGHT = 40
_COUNT_EVERY = 10
_ENDS_WITHIN_SECONDS = 300.0
_TELL_EVERY_SECONDS = 30.0
_say = partial(print, flush=True)


class Soak:
    """Submits on one thread, injects faults on another, and verifies at the end."""

    def __init__(self, rig: Rig, *, seed: int, fault_every_seconds: float, poison_share: float) -> None:
        self._rig = rig
        self._dice = random.Random(f"tasks {seed}")
        self._fault_dice = random.Random(f"faults {seed}")
        self._fault_every_seconds = fault_every_seconds
        self._poison_share = poison_share
        self._over = threading.Event()
        self._broken: list[BaseException] = []
        self.faults = Faults(rig, self._fault_dice)
        self.refused = 0

    def run(self, seconds: float) -> None:
        """Run for this long, then repair everything and wait for all terminal states."""
        breaking = threading.Thread(target=self._break, name="faults")
        while not self._rig.accepted:  # redelivery needs at least one accepted task
            self._submit()
        breaking.start()
        try:
            self._submit_until(time.monotonic() + seconds)
        finally:
            self._over.set()
            breaking.join()
        if self._broken:
            raise self._broken[0]
        self._rig.site.api_links.pass_on()
        for worker in self._rig.workers:
            worker.links.pass_on()
        self._rig.wait_for_ends(timeout_seconds=_ENDS_WITHIN_SECONDS)

    def _submit_until(self, end: float) -> None:
        tell_at = 0.0
        while time.monotonic() < end and not self._broken:
            if len(self._rig.accepted) % _COUNT_EVERY == 0:
                self._wait_for_room()
            self._submit()
            if time.monotonic() > tell_at:
                tell_at = time.monotonic() + _TELL_EVERY_SECONDS
                self._tell(end - time.monotonic())

    def _break(self) -> None:
        try:
            while not self._over.wait(self._fault_dice.expovariate(1 / self._fault_every_seconds)):
                self.faults.inject()
        except BaseException as error:
            self._broken.append(error)

    def _wait_for_room(self) -> None:
        while (
            len(self._rig.accepted) - self._rig.site.mailbox.count_told(self._rig.accepted) > _MOST_IN_FLIGHT
        ):
            if self._broken:
                return
            let_pass(0.05)

    def _submit(self) -> None:
        dice = self._dice
        poisonous, cancelled = dice.random() < self._poison_share, dice.random() < 0.02
        fields: dict[str, Any] = {
            "steps": dice.randint(1, 4),
            "num_images": dice.choice((1, 1, 1, 2, 3)),
            "seed": dice.randrange(1 << 31),
            "output_format": dice.choice(("png", "jpeg", "webp")),
        }
        prompt = DEADLY if poisonous else "a large red circle above a small blue square"
        try:
            answer = self._rig.try_submit(
                prompt, endings=_FAILED if poisonous else frozenset({TaskStatus.COMPLETED}), **fields
            )
            if not answer.is_success:
                self.refused += 1
                let_pass(0.2)
            elif cancelled and not poisonous:
                self._rig.cancel(answer.json()["id"])
        except httpx.TransportError:  # the API is being killed
            self.refused += 1
            let_pass(0.2)

    def _tell(self, seconds_left: float) -> None:
        accepted = len(self._rig.accepted)
        told = self._rig.site.mailbox.count_told(self._rig.accepted)
        faults = self.faults.injected.total()
        _say(f"{seconds_left:5.0f} s left: {accepted} accepted, {told} ended, {faults} faults")


def soak(
    data_directory: Path, *, seed: int, minutes: float, engine: str, fault_every_seconds: float
) -> SoakReport:
    """Run one soak test on its own site."""
    began = time.monotonic()
    with Site(data_directory) as site, Rig(site, engine=_ENGINES[engine]) as rig:
        rig.start_workers(2, CHAOS_STEP_SECONDS=0.01)
        # A deadly task ends four engines. Where each takes seconds to start, a higher share would
        # dominate the test.
        poison_share = 0.002 if engine == "stand_in" else 0.001
        run = Soak(rig, seed=seed, fault_every_seconds=fault_every_seconds, poison_share=poison_share)
        run.run(minutes * 60)
        evidence, verdict = rig.judged()
    return reported(
        seed=seed,
        minutes=(time.monotonic() - began) / 60,
        engine=engine,
        refused=run.refused,
        faults=run.faults.injected,
        documents=evidence.documents,
        verdict=verdict,
        tasks=len(evidence.accepted),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None, help="of the dice; without it a random one")
    parser.add_argument("--engine", choices=sorted(_ENGINES), default="demo")
    parser.add_argument("--fault-every", type=float, default=3.0, metavar="SECONDS", help="on average")
    parser.add_argument("--report", type=Path, default=Path(".darkroom/chaos"), metavar="FOLDER")
    arguments = parser.parse_args()
    os.environ.update(no_proxy_environment(os.environ))
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1_000_000)
    _say(f"A soak of {arguments.minutes:g} minutes with seed {seed}; SEED={seed} repeats it.")
    with tempfile.TemporaryDirectory(prefix="darkroom-soak-") as folder:
        report = soak(
            Path(folder),
            seed=seed,
            minutes=arguments.minutes,
            engine=arguments.engine,
            fault_every_seconds=arguments.fault_every,
        )
    report.write(arguments.report)
    _say(report.table())
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
