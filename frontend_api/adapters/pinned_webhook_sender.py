"""PinnedWebhookSender: one POST to a receiver, over a connection to the very address that was checked.

The host is resolved once, here; the addresses that come out are checked, and one of them is connected to. TLS still
proves the host's name. Whoever changes what the name means after the check changes nothing.
"""

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpcore

from frontend_api.adapters.address_resolver import AddressesOf, UnresolvableError
from frontend_api.callback_rules import Address, CallbackRefusedError, CallbackRules, CallbackUrl
from frontend_api.webhooks.delivery_log import Outcome

_REASONS: Mapping[type[Exception], str] = {
    httpcore.ConnectError: "cannot be connected to",
    httpcore.NetworkError: "broke the connection",
    httpcore.ProtocolError: "did not answer in HTTP",
}
"""The narrower before the wider."""


class PinnedWebhookSender:
    """The WebhookSender of production and of the local stack. Keeps no connection from one try to the next."""

    def __init__(
        self,
        *,
        rules: CallbackRules,
        addresses_of: AddressesOf,
        timeout_seconds: float,
        user_agent: str,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._addresses_of = addresses_of
        self._timeout = timeout_seconds
        self._user_agent = user_agent
        self._ssl_context = ssl_context or httpcore.default_ssl_context()

    def send(self, url: CallbackUrl, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """See WebhookSender.send. The timeout is for all of it: resolving, connecting, TLS, request, answer."""
        began = time.monotonic()
        deadline = _Deadline(began + self._timeout)
        status, error = None, None
        try:
            addresses = self._checked_addresses(url, deadline)
            status = self._posted(url, headers, body, _PinnedBackend(addresses, deadline))
        except (CallbackRefusedError, UnresolvableError) as refusal:
            error = f"the callback URL {refusal}"
        except httpcore.TimeoutException:
            error = "the receiver did not answer in time"
        except tuple(_REASONS) as failure:
            reason = next(text for kind, text in _REASONS.items() if isinstance(failure, kind))
            error = ": ".join(filter(None, (f"the receiver {reason}", str(failure))))
        return Outcome(status=status, error=error, duration_seconds=time.monotonic() - began)

    def _checked_addresses(self, url: CallbackUrl, deadline: "_Deadline") -> Sequence[Address]:
        addresses = self._addresses_of(url.host, deadline.left(None))
        for address in addresses:  # one bad one is enough: a name that means both is up to no good
            self._rules.check_address(address)
        return addresses

    def _posted(
        self, url: CallbackUrl, headers: Mapping[str, str], body: bytes, backend: "_PinnedBackend"
    ) -> int:
        origin = httpcore.Origin(url.scheme.encode(), url.host.encode(), url.port)
        told = {
            "Host": url.authority,
            "Content-Type": "application/json",
            "User-Agent": self._user_agent,
            "Connection": "close",
            **headers,
        }
        with (
            httpcore.HTTPConnection(
                origin, ssl_context=self._ssl_context, network_backend=backend
            ) as connection,
            # The body of the answer is nobody's business, and may have no end.
            connection.stream(
                "POST",
                httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
                headers=list(told.items()),
                content=body,
            ) as answer,
        ):
            return int(answer.status)


class _Deadline:
    """A moment, by the monotonic clock, after which nothing is waited for."""

    def __init__(self, at: float) -> None:
        self._at = at

    def left(self, at_most: float | None) -> float:
        """Seconds until then. Raises httpcore.TimeoutException when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left if at_most is None else min(left, at_most)


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever host is asked for: the first that takes the connection."""

    def __init__(self, addresses: Sequence[Address], deadline: _Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See NetworkBackend.connect_tcp."""
        refused: Exception = httpcore.ConnectError()
        for tried, address in enumerate(self._addresses):
            # Each has its share of the time, so that an address that swallows everything leaves some to the others.
            share = self._deadline.left(None) / (len(self._addresses) - tried)
            try:
                stream = self._sockets.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return _BoundedStream(stream, self._deadline)
        raise refused


class _BoundedStream(httpcore.NetworkStream):
    """A stream whose every step must end before the deadline: a receiver that drips ends with it, too."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See NetworkStream.read."""
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See NetworkStream.write."""
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        """See NetworkStream.close."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """See NetworkStream.start_tls."""
        inner = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _BoundedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """See NetworkStream.get_extra_info."""
        return self._stream.get_extra_info(info)
