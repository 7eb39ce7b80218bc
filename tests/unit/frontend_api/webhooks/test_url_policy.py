"""The URLs and addresses that webhooks may use."""

from ipaddress import ip_address

import pytest

from frontend_api.webhooks.url_policy import (
    CallbackRefusedError,
    CallbackUrl,
    CallbackUrlPolicy,
    PrivateReceivers,
)

PUBLIC = CallbackUrlPolicy()
LOCAL = CallbackUrlPolicy(allows_loopback=True)
ANY = PUBLIC.parse("https://example.com/")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://example.com", ("https", "example.com", 443, "/")),
        ("https://EXAMPLE.com:8443/a/b?c=d&e", ("https", "example.com", 8443, "/a/b?c=d&e")),
        ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", 443, "/")),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]/x", ("https", "2606:4700::1111", 443, "/x")),
        ("https://under_score.example.com/", ("https", "under_score.example.com", 443, "/")),
    ],
)
def test_https_to_a_public_host_is_allowed(text: str, parts: tuple[str, str, int, str]) -> None:
    scheme, host, port, target = parts
    assert PUBLIC.parse(text) == CallbackUrl(scheme=scheme, host=host, port=port, target=target)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "example.com", "https://", "https:///path", "ftp://example.com/", "file:///etc/passwd",
        "http://example.com/", "http://localhost/", "http://127.0.0.1/", "javascript:alert(1)",
        "https://a b.example/", "https://bücher.example/", "https://example.com/\n", "https://example.com/\0",
        "https://user@example.com/", "https://:secret@example.com/", "https://example.com/#part",
        "https://example.com:0/", "https://example.com:25/", "https://example.com:80/",
        "https://example.com:99999/", "https://example.com:x/", "https://-a.example/",
        "https://exa[mple.com/", "https://[::1/", "https://[::ffff:10.0.0.1]/", "https://10.0.0.1/",
        "https://169.254.169.254/", "https://example..com/", "https://example.com./", "https://%31%32%37.0.0.1/",
        "https://example.com\\@evil.example/", f"https://example.com/{'x' * 2_000}",
    ],
)  # fmt: skip
def test_other_urls_are_refused(text: str) -> None:
    with pytest.raises(CallbackRefusedError):
        PUBLIC.parse(text)


@pytest.mark.parametrize(
    "text", ["http://localhost:9000/", "http://127.0.0.1/", "http://[::1]:8080/x", "https://localhost/"]
)
def test_loopback_urls_are_allowed_in_the_local_stack(text: str) -> None:
    LOCAL.parse(text)


@pytest.mark.parametrize("text", ["http://10.0.0.1/", "http://example.com/", "https://192.168.1.1/"])
def test_private_urls_are_refused_in_the_local_stack(text: str) -> None:
    with pytest.raises(CallbackRefusedError):
        LOCAL.parse(text)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1", "192.0.0.1",
        "192.0.0.100", "192.88.99.1", "168.63.129.16", "3fff::1",
        "192.0.2.1", "192.168.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::",
        "64:ff9b:1::808:808", "2001:0:1::f5ff:fffe",
    ],
)  # fmt: skip
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(CallbackRefusedError, match=r"not a public address|may be a metadata server"):
        PUBLIC.check_address(ip_address(address), ANY)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    PUBLIC.check_address(ip_address(address), ANY)
    LOCAL.check_address(ip_address(address), ANY)


LISTED = CallbackUrlPolicy(
    private_receivers=PrivateReceivers.parse(
        ["172.17.0.0/16", "10.1.2.3", "fd12::/16", "receiver.internal", ".svc.cluster.local"]
    )
)
"""Without the loopback addresses, as in the cloud."""


def resolved(policy: CallbackUrlPolicy, url: str, address: str) -> None:
    """Check a URL whose host resolves to this address, as a submission and a delivery do."""
    policy.check_address(ip_address(address), policy.parse(url))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://172.17.0.1:9000/", "172.17.0.1"),
        ("https://10.1.2.3/", "10.1.2.3"),
        ("http://hooks.example.com/", "10.1.2.3"),
        ("https://hooks.example.com/", "::ffff:10.1.2.3"),
        ("http://[fd12::7]:8000/", "fd12::7"),
        ("http://receiver.internal/", "192.168.7.7"),
        ("http://Receiver.Internal/", "192.168.7.7"),
        ("http://a.b.svc.cluster.local:8080/hook", "10.96.0.10"),
        ("https://hooks.example.com/", "8.8.8.8"),
    ],
)
def test_listed_private_receivers_are_allowed(url: str, address: str) -> None:
    resolved(LISTED, url, address)
    with pytest.raises(CallbackRefusedError):  # nothing private by default
        resolved(PUBLIC, url, address if address != "8.8.8.8" else "10.0.0.1")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://hooks.example.com/", "8.8.8.8"),
        ("https://hooks.example.com/", "10.1.2.4"),
        ("http://172.18.0.1/", "172.18.0.1"),
        ("https://127.0.0.1/", "127.0.0.1"),
        ("https://other.internal/", "192.168.7.7"),
        ("https://svc.cluster.local/", "10.96.0.10"),
        ("https://notreceiver.internal/", "10.96.0.10"),
        ("http://receiver.internal/", "0.0.0.0"),
        ("http://receiver.internal/", "224.0.0.1"),
    ],
)
def test_other_private_receivers_stay_refused(url: str, address: str) -> None:
    with pytest.raises(CallbackRefusedError):
        resolved(LISTED, url, address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fe80::1",
        "64:ff9b::a9fe:a9fe",
        "::ffff:169.254.169.254",
    ],
)
def test_metadata_servers_are_refused_whatever_is_listed(address: str) -> None:
    everything = PrivateReceivers.parse(
        ["0.0.0.0/0", "::/0", "receiver.internal", "metadata.google.internal"]
    )
    policy = CallbackUrlPolicy(allows_loopback=True, private_receivers=everything)
    for host in ("receiver.internal", "hooks.example.com"):
        with pytest.raises(CallbackRefusedError, match="metadata server"):
            resolved(policy, f"http://{host}/", address)
    literal = f"[{address}]" if ":" in address else address
    for url in (f"http://{literal}/", "http://metadata.google.internal/", "https://metadata/"):
        with pytest.raises(CallbackRefusedError, match="metadata server"):
            policy.parse(url)


@pytest.mark.parametrize("entry", ["", "10.0.0.1/8", "10.0.0.0/33", "http://host/", "a b", "*"])
def test_invalid_entries_of_private_receivers_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="must be networks, addresses or host names"):
        PrivateReceivers.parse([entry])


def test_host_header_matches_the_url() -> None:
    assert PUBLIC.parse("https://example.com/").authority == "example.com"
    assert PUBLIC.parse("https://example.com:8443/").authority == "example.com:8443"
    assert LOCAL.parse("http://[::1]:8080/").authority == "[::1]:8080"
