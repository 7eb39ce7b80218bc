"""InMemoryMinuteHistory: the figures of each minute in a dictionary."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from frontend_api.history.minutes import Minute, MinuteSample
from frontend_api.operations.response_counts import ResponseShare
from tests.fakes.outage import Outage


class InMemoryMinuteHistory(Outage):
    def __init__(self) -> None:
        self.minutes: dict[datetime, Minute] = {}
        self.reads = 0

    def record(self, minute: datetime, sample: MinuteSample) -> None:
        self._check()
        self.minutes[minute] = replace(self.minutes.get(minute, Minute()), sample=sample)

    def add_responses(self, counts: Mapping[datetime, ResponseShare]) -> None:
        self._check()
        for at, added in counts.items():
            minute = self.minutes.get(at, Minute())
            self.minutes[at] = replace(minute, responses=minute.responses + added)

    def read(self, since: datetime, until: datetime) -> dict[datetime, Minute]:
        self._check()
        self.reads += 1
        return {at: minute for at, minute in self.minutes.items() if since <= at < until}
