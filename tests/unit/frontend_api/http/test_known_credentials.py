"""KnownCredentials: the callers of accepted credentials, and which of them are evicted."""

import pytest

from frontend_api.http.known_credentials import KnownCredentials
from tests.fakes.fake_clock import FakeClock


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_credentials_are_known_in_every_spelling() -> None:
    known = KnownCredentials()
    known.add(bearer("T"), "ada")
    spellings = ({"Authorization": "bearer   T "}, {"authorization": "BEARER T"}, {"X-Api-Key": " T"})
    assert {known.caller_with(each) for each in spellings} == {"ada"}
    others: tuple[dict[str, str], ...] = (
        bearer("t"),
        {},
        {"Authorization": "T"},
        {"Sec-WebSocket-Protocol": "bearer.T"},
    )
    assert {known.caller_with(each) for each in others} == {None}


def test_two_credentials_are_of_no_caller() -> None:
    known = KnownCredentials()
    known.add(bearer("T"), "ada")
    assert known.caller_with(bearer("T") | {"X-API-Key": "T"}) is None


def test_many_credentials_of_one_caller_evict_only_its_own() -> None:
    known = KnownCredentials()
    known.add(bearer("of-bob"), "bob")
    for number in range(20_000):
        known.add(bearer(f"of-mal-{number}"), "mal")
    assert known.caller_with(bearer("of-bob")) == "bob"
    assert known.caller_with(bearer("of-mal-19999")) == "mal"
    assert known.caller_with(bearer("of-mal-0")) is None


def test_credentials_follow_their_caller() -> None:
    known = KnownCredentials()
    known.add(bearer("T"), "internal")
    known.add(bearer("T"), "user ada")
    for number in range(100):
        known.add(bearer(f"other-{number}"), "internal")
    assert known.caller_with(bearer("T")) == "user ada"


def test_credentials_of_the_latest_callers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend_api.http.known_credentials._MAX_CALLERS", 2)
    known = KnownCredentials()
    for caller in ("ada", "bob", "ada", "cleo"):
        known.add(bearer(f"of-{caller}"), caller)
    assert [known.caller_with(bearer(f"of-{each}")) for each in ("ada", "bob", "cleo")] == [
        "ada",
        None,
        "cleo",
    ]


def test_credentials_are_known_for_a_minute_after_they_were_accepted() -> None:
    timeline = FakeClock()
    known = KnownCredentials(now=lambda: timeline.now().timestamp())
    known.add(bearer("T"), "ada")
    timeline.advance(50)
    known.add(bearer("T"), "ada")
    timeline.advance(59)
    assert known.caller_with(bearer("T")) == "ada"
    timeline.advance(1)
    assert known.caller_with(bearer("T")) is None
