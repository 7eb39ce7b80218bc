"""The network address of a caller behind proxies."""

import pytest

from frontend_api.identity.caller_address import address_of_caller


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "caller"),
    [
        ("10.0.0.1", ("1.2.3.4",), 0, "10.0.0.1"),
        ("10.0.0.1", ("6.6.6.6", "1.2.3.4"), 1, "1.2.3.4"),
        ("10.0.0.1", ("6.6.6.6", "1.2.3.4", "35.0.0.1"), 2, "1.2.3.4"),
        ("10.0.0.1", (), 1, "10.0.0.1"),
        ("10.0.0.1", ("1.2.3.4",), 2, "10.0.0.1"),
        ("10.0.0.1", ("2001:db8:1:2:3:4:5:6",), 1, "2001:db8:1:2::/64"),
        ("::1", (), 0, "::/64"),
        ("::ffff:192.0.2.1", (), 0, "192.0.2.1"),
        ("10.0.0.1", ("unknown",), 1, "unknown"),
    ],
)
def test_callers_address_comes_from_trusted_proxies(
    peer: str, forwarded: tuple[str, ...], proxies: int, caller: str
) -> None:
    assert address_of_caller(peer, forwarded, trusted_proxies=proxies) == caller
