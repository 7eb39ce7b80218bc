"""The contract of MinuteHistory, on the fake and on Firestore's emulator."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from google.cloud.firestore import Client

from frontend_api.adapters.firestore.minute_history import COLLECTION, FirestoreMinuteHistory
from frontend_api.clock_minute import MINUTE
from frontend_api.history.minutes import Minute
from frontend_api.history.ports import KEPT_FOR, MinuteHistory
from frontend_api.operations.response_counts import ResponseShare
from tests.contract.outages import assert_each_raises_unavailable
from tests.fakes.in_memory_minute_history import InMemoryMinuteHistory
from tests.unit.frontend_api.history.samples import minute_sample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def history(request: pytest.FixtureRequest) -> MinuteHistory:
    if request.param == "fake":
        return InMemoryMinuteHistory()
    return FirestoreMinuteHistory(request.getfixturevalue("firestore"), timeout_seconds=60)


def test_history_is_empty_at_first(history: MinuteHistory) -> None:
    assert history.read(NOON - 24 * HOUR, NOON) == {}


def test_history_returns_the_minutes_of_the_time(history: MinuteHistory) -> None:
    at = [NOON - 61 * MINUTE, NOON - HOUR, NOON - MINUTE, NOON + 9 * MINUTE, NOON + 10 * MINUTE]
    samples = {moment: minute_sample(queued=number) for number, moment in enumerate(at)}
    for moment, sample in samples.items():
        history.record(moment, sample)
    read = history.read(at[1], at[4])
    assert read == {moment: Minute(sample=samples[moment]) for moment in at[1:4]}


def test_history_replaces_the_sample_of_a_minute(history: MinuteHistory) -> None:
    history.record(NOON, minute_sample(queued=1))
    history.record(NOON, minute_sample(queued=2))
    assert history.read(NOON, NOON + MINUTE) == {NOON: Minute(sample=minute_sample(queued=2))}


def test_history_adds_responses_and_keeps_the_sample(history: MinuteHistory) -> None:
    later = NOON + HOUR
    history.add_responses({NOON: ResponseShare(all=3), later: ResponseShare(all=1, failed=1)})
    history.record(NOON, minute_sample())
    history.add_responses({NOON: ResponseShare(all=2, failed=1)})
    assert history.read(NOON, later + MINUTE) == {
        NOON: Minute(sample=minute_sample(), responses=ResponseShare(all=5, failed=1)),
        later: Minute(responses=ResponseShare(all=1, failed=1)),
    }


@pytest.mark.emulator
def test_each_hour_is_one_document_that_expires(firestore: Client) -> None:
    history = FirestoreMinuteHistory(firestore, timeout_seconds=60)
    for minute in (0, 59, 60):
        history.record(NOON + minute * MINUTE, minute_sample())
        history.add_responses({NOON + minute * MINUTE: ResponseShare(all=1)})
    stored = {
        document.id: document.get("expires_at") for document in firestore.collection(COLLECTION).stream()
    }
    assert stored == {
        (NOON + number * HOUR).isoformat(): NOON + (number + 1) * HOUR + KEPT_FOR for number in range(2)
    }


def test_history_raises_when_firestore_is_unreachable(unreachable_firestore: Client) -> None:
    fake = InMemoryMinuteHistory()
    fake.unavailable = True
    stored = FirestoreMinuteHistory(unreachable_firestore, timeout_seconds=0.5)
    histories: tuple[MinuteHistory, ...] = (fake, stored)
    for history in histories:
        assert_each_raises_unavailable(
            partial(history.record, NOON, minute_sample()),
            partial(history.add_responses, {NOON: ResponseShare(all=1)}),
            partial(history.read, NOON, NOON + HOUR),
        )
