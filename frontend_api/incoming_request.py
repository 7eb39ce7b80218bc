"""IncomingRequest: the bytes of one HTTP/1.1 request while they arrive, and whether it is complete."""

import ipaddress
from collections.abc import Callable

import h11

_MAX_HEAD_BYTES = 128 * 1024
"""More than gunicorn's own limits on the request line and the header fields allow; these answer with their reason."""
_FIRST_CHUNK_BYTES = 16 * 1024


class IncomingRequest:
    """Follows the framing of a request; gunicorn parses the same bytes again once all of them are here."""

    def __init__(self, *, max_body_bytes: Callable[[str], int]) -> None:
        self._framing = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._max_body_bytes = max_body_bytes
        self._body_bytes = 0
        self._allowed_body_bytes = 0
        self.chunks: list[bytes] = []
        """What has arrived of this request, as it was received."""
        self.size = 0
        """Bytes in `chunks`."""
        self.path: str | None = None
        """Without the query; None until the head is complete."""
        self.forwarded_for: tuple[str, ...] = ()
        """The entries of all X-Forwarded-For headers."""
        self.is_complete = False
        self.is_malformed = False
        """Where the request ends is unknown."""
        self.is_too_large = False
        self.rest = b""
        """What has arrived of the next request on the same connection."""

    def feed(self, data: bytes) -> None:
        """Take bytes in the order of their arrival, until one of the three flags is set."""
        self.chunks.append(data)
        self.size += len(data)
        try:
            self._framing.receive_data(data)
            while not (self.is_complete or self.is_too_large):
                event = self._framing.next_event()
                if event is h11.NEED_DATA:
                    return
                self._note(event)
        except (h11.RemoteProtocolError, ValueError):
            self.is_malformed = True

    @property
    def wants_continue(self) -> bool:
        """Whether the caller waits for `100 Continue` before it sends the body."""
        return self._framing.they_are_waiting_for_100_continue and not self.is_too_large

    def _note(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._note_head(event)
        elif isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
            self.is_too_large = self._body_bytes > self._allowed_body_bytes
        elif isinstance(event, h11.EndOfMessage):
            self.is_complete = True
            self.rest, _ = self._framing.trailing_data
            whole = b"".join(self.chunks)
            own = len(whole) - len(self.rest)
            # gunicorn copies what it parses the head from several times: that shall not be a large body.
            self.chunks = [whole[:_FIRST_CHUNK_BYTES][:own], whole[_FIRST_CHUNK_BYTES:own]]

    def _note_head(self, head: h11.Request) -> None:
        self.path = head.target.split(b"?", 1)[0].decode("latin-1")
        self._allowed_body_bytes = self._max_body_bytes(self.path)
        for name, value in head.headers:
            if name == b"x-forwarded-for":
                self.forwarded_for += tuple(entry.strip() for entry in value.decode("latin-1").split(","))
            elif name == b"content-length":
                self.is_too_large = int(value) > self._allowed_body_bytes


def address_of_caller(peer: str, forwarded_for: tuple[str, ...], *, trusted_proxies: int) -> str:
    """The network that a request comes from: an IPv4 address, or the /64 of an IPv6 address.

    Each proxy appends the address that it was called from to X-Forwarded-For. Entries before those of the
    `trusted_proxies` were written by the caller and are ignored.
    """
    address = peer
    if 0 < trusted_proxies <= len(forwarded_for):
        address = forwarded_for[-trusted_proxies]
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
