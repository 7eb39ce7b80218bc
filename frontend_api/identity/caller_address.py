"""The network address of a caller, which may be known from a proxy."""

import ipaddress


def address_of_caller(peer: str, forwarded_for: tuple[str, ...], *, trusted_proxies: int) -> str:
    """Return the network of a request's caller: an IPv4 address, or the /64 of an IPv6 address.

    Each proxy appends the address of its own caller to X-Forwarded-For. The function ignores entries
    before those of the `trusted_proxies`, because the caller wrote them.
    """
    address = peer
    if 0 < trusted_proxies <= len(forwarded_for):
        address = forwarded_for[-trusted_proxies]
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # the form in which a dual-stack socket reports IPv4 callers
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
