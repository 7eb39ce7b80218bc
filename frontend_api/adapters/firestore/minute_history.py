"""FirestoreMinuteHistory: one document for each hour, `operations_history/{hour}`, with its minutes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

from google.cloud import firestore

from common.adapters.firestore_errors import repeatable_within, translated_errors
from frontend_api.clock_minute import MINUTE
from frontend_api.history.minutes import Minute, MinuteSample
from frontend_api.history.ports import KEPT_FOR
from frontend_api.operations.response_counts import ResponseShare

COLLECTION = "operations_history"
_HOUR = timedelta(hours=1)
_SAMPLE_FIELDS = tuple(field.name for field in fields(MinuteSample))


class FirestoreMinuteHistory:
    """The MinuteHistory of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._hours = client.collection(COLLECTION)
        self._timeout = timeout_seconds
        self._calls = repeatable_within(timeout_seconds)

    def record(self, minute: datetime, sample: MinuteSample) -> None:
        with translated_errors():
            self._document(minute).set(_fields(minute, asdict(sample)), merge=True, **self._calls)

    def add_responses(self, counts: Mapping[datetime, ResponseShare]) -> None:
        batch = self._client.batch()
        for minute, responses in counts.items():
            added = {
                "responses": firestore.Increment(responses.all),
                "failed_responses": firestore.Increment(responses.failed),
            }
            batch.set(self._document(minute), _fields(minute, added), merge=True)
        with translated_errors():
            # retry=None: when the first try succeeded without a response, a retry would count twice.
            batch.commit(retry=None, timeout=self._timeout)

    def read(self, since: datetime, until: datetime) -> dict[datetime, Minute]:
        documents = [self._document(hour) for hour in _hours_between(since, until)]
        with translated_errors():
            found = list(self._client.get_all(documents, **self._calls))
        minutes = {}
        for snapshot in found:
            if snapshot.exists:
                start = datetime.fromisoformat(snapshot.id)
                for name, stored in snapshot.get("minutes").items():
                    minutes[start + int(name) * MINUTE] = _minute(stored)
        return {at: minute for at, minute in minutes.items() if since <= at < until}

    def _document(self, moment: datetime) -> Any:
        return self._hours.document(_hour_of(moment).isoformat())


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _hours_between(since: datetime, until: datetime) -> Iterable[datetime]:
    hour = _hour_of(since)
    while hour < until:
        yield hour
        hour += _HOUR


def _fields(minute: datetime, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "minutes": {f"{minute.minute:02}": dict(figures)},
        "expires_at": _hour_of(minute) + _HOUR + KEPT_FOR,
    }


def _minute(stored: Mapping[str, Any]) -> Minute:
    """Parse a minute. Without a sample, it has only the counts of responses."""
    sample = None
    if "queued" in stored:
        sample = MinuteSample(**{name: stored[name] for name in _SAMPLE_FIELDS})
    responses = ResponseShare(all=stored.get("responses", 0), failed=stored.get("failed_responses", 0))
    return Minute(sample=sample, responses=responses)
