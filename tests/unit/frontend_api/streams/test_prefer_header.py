"""The Prefer header of RFC 7240."""

import pytest

from frontend_api.streams.long_poll import wait_seconds


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10; quickly=yes, return=minimal", 10),
        ("wait", 55),
        ("wait=56", 55),
        ("wait=99999999", 55),
        ("wait=0", None),
        ("wait=5, wait=20", 5),
        ("wait=soon", None),
        ("wait=soon, wait=20", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=" + "9" * 5_000, None),
        ("wait-for=10", None),
        ("waits=10", None),
        ("return=minimal", None),
        (",;=,,", None),
    ],
)
def test_wait_seconds_parses_the_prefer_header(prefer: str | None, seconds: int | None) -> None:
    assert wait_seconds(prefer) == seconds
