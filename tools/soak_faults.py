"""The random faults of a soak test."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import psutil

from tests.chaos.chaos_worker import ChaosWorker
from tests.chaos.network import Link
from tests.chaos.rig import Rig
from tests.chaos.waiting import pause

_NAMES = ("firestore", "pubsub", "storage")


class Faults:
    """Injects one fault at a time, on the calling thread. `injected` counts them by kind."""

    def __init__(self, rig: Rig, rng: random.Random) -> None:
        self._rig = rig
        self._rng = rng
        self.injected: Counter[str] = Counter()
        # Relative frequencies. Killed processes cost seconds to restart, broken connections
        # nothing.
        self._kinds: dict[Callable[[], str], int] = {
            self._kill_worker: 3,
            self._kill_engine: 2,
            self._stop_worker: 3,
            self._suspend_worker: 2,
            self._suspend_engine: 2,
            self._redeliver_message: 6,
            self._cut_link: 6,
            partial(self._disturb_link, "stalled", Link.stall): 3,
            partial(self._disturb_link, "refused", Link.refuse): 3,
            partial(self._disturb_link, "responses dropped", Link.drop_responses): 4,
            self._half_open_link: 1,
            partial(self._restart, "api"): 1,
            partial(self._restart, "bucket-server"): 1,
            partial(self._restart, "firestore-emulator"): 1,
        }

    def inject(self) -> str:
        """Inject one fault from start to repair, and return its kind."""
        [fault] = self._rng.choices(list(self._kinds), weights=list(self._kinds.values()))
        kind = fault()
        self.injected[kind] += 1
        return kind

    def _kill_worker(self) -> str:
        worker = self._any_worker()
        worker.kill()
        worker.restart()
        return "worker killed"

    def _kill_engine(self) -> str:
        with suppress(LookupError, psutil.NoSuchProcess):  # it is being restarted
            self._any_worker().engine.kill()
        return "engine killed"

    def _stop_worker(self) -> str:
        worker = self._any_worker()
        worker.stop()
        worker.restart()
        return "worker stopped"

    def _suspend_worker(self) -> str:
        worker = self._any_worker()
        worker.process.suspend()
        pause(self._rng.uniform(0.5, 12))
        worker.process.resume()
        return "worker suspended"

    def _suspend_engine(self) -> str:
        with suppress(LookupError, psutil.NoSuchProcess):
            engine = self._any_worker().engine
            engine.suspend()
            pause(self._rng.uniform(0.5, 5))
            engine.resume()
        return "engine suspended"

    def _redeliver_message(self) -> str:
        self._rig.redeliver(self._rng.choice(list(self._rig.accepted)))
        return "message redelivered"

    def _cut_link(self) -> str:
        name, link = self._any_link()
        link.cut()
        return f"{name} cut"

    def _half_open_link(self) -> str:
        name, link = self._any_link()
        link.half_open()
        return f"{name} half-open"

    def _disturb_link(self, what: str, begin: Callable[[Link], None]) -> str:
        name, link = self._any_link()
        begin(link)
        pause(self._rng.uniform(0.2, 6))
        link.restore()
        return f"{name} {what}"

    def _restart(self, process: str) -> str:
        self._rig.site.stack.restart(process)
        return f"{process} killed"

    def _any_worker(self) -> ChaosWorker:
        return self._rng.choice(self._rig.workers)

    def _any_link(self) -> tuple[str, Link]:
        links = self._rng.choice([self._rig.site.api_links, *(worker.links for worker in self._rig.workers)])
        name = self._rng.choice(_NAMES)
        link: Link = getattr(links, name)
        return name, link
