"""The network address of a caller behind proxies."""

import pytest

from frontend_api.identity.caller_address import TrustedProxies, network_of


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
        ("10.0.0.1", ("1.2.3.4:50123",), 1, "1.2.3.4"),
        ("10.0.0.1", ("[2001:db8:1:2:3:4:5:6]:443",), 1, "2001:db8:1:2::/64"),
        ("10.0.0.1", ("[2001:db8:1:2:3:4:5:6]",), 1, "2001:db8:1:2::/64"),
    ],
)
def test_callers_address_comes_from_trusted_proxies(
    peer: str, forwarded: tuple[str, ...], proxies: int, caller: str
) -> None:
    assert TrustedProxies(count=proxies).network_of_caller(peer, forwarded) == caller


LOAD_BALANCER, ITS_IPV6 = "203.0.113.7", "2001:db8:b:1::"


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        (("1.2.3.4", LOAD_BALANCER), "1.2.3.4"),
        (("2001:db8:1:2::3", ITS_IPV6), "2001:db8:1:2::/64"),
        # The caller wrote the first entries.
        (("6.6.6.6", "1.2.3.4", LOAD_BALANCER), "1.2.3.4"),
        (("6.6.6.6", LOAD_BALANCER, "1.2.3.4", LOAD_BALANCER), "1.2.3.4"),
        # Without the load balancer, as Pub/Sub calls.
        (("1.2.3.4",), "1.2.3.4"),
        (("6.6.6.6", LOAD_BALANCER, "1.2.3.4"), "1.2.3.4"),
        ((LOAD_BALANCER,), "10.0.0.1"),
    ],
)
def test_callers_address_is_the_one_before_the_load_balancers(
    forwarded: tuple[str, ...], caller: str
) -> None:
    proxies = TrustedProxies(count=1, networks=frozenset((network_of(LOAD_BALANCER), network_of(ITS_IPV6))))
    assert proxies.network_of_caller("10.0.0.1", forwarded) == caller
