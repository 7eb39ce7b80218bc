"""The faults of a soak test, chosen at random: each starts, lasts for a random time, and is
repaired.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

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
            self._worker_killed: 3,
            self._engine_killed: 2,
            self._worker_stopped: 3,
            self._worker_suspended: 2,
            self._engine_suspended: 2,
            self._message_redelivered: 6,
            self._link_cut: 6,
            self._link_stalled: 3,
            self._link_refused: 3,
            self._responses_dropped: 4,
            self._link_half_open: 1,
            self._api_killed: 1,
            self._bucket_killed: 1,
        }

    def inject(self) -> str:
        """Inject one fault from start to repair, and return its kind."""
        [fault] = self._rng.choices(list(self._kinds), weights=list(self._kinds.values()))
        kind = fault()
        self.injected[kind] += 1
        return kind

    def _worker_killed(self) -> str:
        worker = self._any_worker()
        worker.kill()
        worker.restart()
        return "worker killed"

    def _engine_killed(self) -> str:
        with suppress(LookupError, psutil.NoSuchProcess):  # it is being restarted
            self._any_worker().engine.kill()
        return "engine killed"

    def _worker_stopped(self) -> str:
        worker = self._any_worker()
        worker.stop()
        worker.restart()
        return "worker stopped"

    def _worker_suspended(self) -> str:
        worker = self._any_worker()
        worker.process.suspend()
        pause(self._rng.uniform(0.5, 12))
        worker.process.resume()
        return "worker suspended"

    def _engine_suspended(self) -> str:
        with suppress(LookupError, psutil.NoSuchProcess):
            engine = self._any_worker().engine
            engine.suspend()
            pause(self._rng.uniform(0.5, 5))
            engine.resume()
        return "engine suspended"

    def _message_redelivered(self) -> str:
        self._rig.redeliver(self._rng.choice(list(self._rig.accepted)))
        return "delivered again"

    def _link_cut(self) -> str:
        name, link = self._any_link()
        link.cut()
        return f"{name} cut"

    def _link_stalled(self) -> str:
        return self._for_a_while("stalled", Link.stall)

    def _link_refused(self) -> str:
        return self._for_a_while("refused", Link.refuse)

    def _responses_dropped(self) -> str:
        return self._for_a_while("answers dropped", Link.drop_responses)

    def _link_half_open(self) -> str:
        name, link = self._any_link()
        link.half_open()
        return f"{name} half-open"

    def _api_killed(self) -> str:
        return self._restarted("api")

    def _bucket_killed(self) -> str:
        return self._restarted("bucket-server")

    def _for_a_while(self, what: str, begin: Callable[[Link], None]) -> str:
        name, link = self._any_link()
        begin(link)
        pause(self._rng.uniform(0.2, 6))
        link.restore()
        return f"{name} {what}"

    def _restarted(self, process: str) -> str:
        self._rig.site.stack.process(process).kill()
        self._rig.site.stack.restart(process)
        return f"{process} killed"

    def _any_worker(self) -> ChaosWorker:
        return self._one_of(self._rig.workers)

    def _any_link(self) -> tuple[str, Link]:
        links = self._rng.choice([self._rig.site.api_links, *(worker.links for worker in self._rig.workers)])
        name = self._rng.choice(_NAMES)
        link: Link = getattr(links, name)
        return name, link

    def _one_of(self, workers: Sequence[ChaosWorker]) -> ChaosWorker:
        return self._rng.choice(workers)
