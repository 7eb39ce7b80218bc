"""MinuteHistory: the port that stores the figures of each minute for a day."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from frontend_api.history.minutes import Minute, MinuteSample
from frontend_api.operations.response_counts import ResponseShare

KEPT_FOR = timedelta(hours=26)
"""How long a minute is kept; Firestore removes it within a day after that."""


class MinuteHistory(Protocol):
    """Every method raises DependencyUnavailableError."""

    def record(self, minute: datetime, sample: MinuteSample) -> None:
        """Store a minute's sample. A second call for the same minute replaces it."""

    def add_responses(self, counts: Mapping[datetime, ResponseShare]) -> None:
        """Add to the counts of these minutes. After a timeout they may have been added."""

    def read(self, since: datetime, until: datetime) -> Mapping[datetime, Minute]:
        """Return the stored minutes from `since` to before `until`.

        Reads one document for each hour that contains one of them.
        """
