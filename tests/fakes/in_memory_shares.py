"""InMemoryShares: a ShareStore in a dictionary."""

import threading

from frontend_api.shares.share import Share, ShareNotFoundError
from tests.fakes.outage import Outage


class InMemoryShares(Outage):
    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}
        self._lock = threading.RLock()

    @property
    def all_shares(self) -> tuple[Share, ...]:
        with self._lock:
            return tuple(self._shares.values())

    def add(self, share: Share) -> None:
        with self._lock:
            self._check()
            self._shares[share.id] = share

    def get(self, share_id: str) -> Share:
        with self._lock:
            self._check()
            if share_id not in self._shares:
                raise ShareNotFoundError(share_id)
            return self._shares[share_id]

    def list_for(self, task_id: str) -> tuple[Share, ...]:
        with self._lock:
            self._check()
            found = [share for share in self._shares.values() if share.task_id == task_id]
        return tuple(sorted(found, key=lambda share: (share.created_at, share.id), reverse=True))

    def delete(self, share_id: str) -> None:
        with self._lock:
            self._check()
            self._shares.pop(share_id, None)

    def delete_all_of(self, task_id: str) -> None:
        with self._lock:
            self._check()
            for share in self.list_for(task_id):
                del self._shares[share.id]
