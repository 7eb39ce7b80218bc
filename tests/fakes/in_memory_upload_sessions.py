"""InMemoryUploadSessions: resumable uploads in dictionaries."""

from datetime import datetime

from common.ports import Clock
from frontend_api.inputs.stored_input import UploadNotFoundError
from tests.fakes.outage import Outage


class InMemoryUploadSessions(Outage):
    """UploadSessions for tests. `receive` is the bucket's side of a session."""

    service = "storage"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started: dict[str, tuple[str, int]] = {}
        self.files: dict[str, tuple[bytes, datetime]] = {}
        self.origins: list[str | None] = []

    def start(self, name: str, *, size_bytes: int, content_type: str, origin: str | None) -> str:
        self._check()
        url = f"https://bucket.example/{name}"
        self._started[url] = name, size_bytes
        self.origins.append(origin)
        return url

    def receive(self, url: str, content: bytes) -> None:
        name, size_bytes = self._started[url]
        assert len(content) == size_bytes
        self.files[name] = content, self._clock.now()

    def read(self, name: str) -> bytes:
        self._check()
        if name not in self.files:
            raise UploadNotFoundError(name)
        return self.files[name][0]

    def delete(self, name: str) -> None:
        self._check()
        self.files.pop(name, None)

    def remove_older(self, moment: datetime) -> None:
        self._check()
        self.files = {name: file for name, file in self.files.items() if file[1] >= moment}
