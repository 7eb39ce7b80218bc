"""PinnedWebhookSender: sends one POST to a receiver, over a connection to a checked address.

The sender resolves the host once, checks the resulting addresses, and connects to one of them. TLS
still verifies the host name. A later change of the DNS record (DNS rebinding) has no effect.
"""

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpcore

from frontend_api.adapters.address_resolver import AddressesOf, UnresolvableError
from frontend_api.webhooks.delivery_limiter import AddressLimiter
from frontend_api.webhooks.delivery_log import Outcome
from frontend_api.webhooks.url_policy import Address, CallbackRefusedError, CallbackUrl, CallbackUrlPolicy

_REASONS: Mapping[type[Exception], str] = {
    httpcore.ConnectError: "cannot be connected to",
    httpcore.NetworkError: "broke the connection",
    httpcore.ProtocolError: "sent no valid HTTP response",
}
"""Subclasses before their base classes."""


class PinnedWebhookSender:
    """The WebhookSender of production and of the local stack.

    Opens a new connection for each attempt.
    """

    def __init__(
        self,
        *,
        url_policy: CallbackUrlPolicy,
        addresses_of: AddressesOf,
        limiter: AddressLimiter,
        timeout_seconds: float,
        user_agent: str,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._url_policy = url_policy
        self._addresses_of = addresses_of
        self._limiter = limiter
        self._timeout = timeout_seconds
        self._user_agent = user_agent
        self._ssl_context = ssl_context or httpcore.default_ssl_context()

    def send(self, url: CallbackUrl, *, headers: Mapping[str, str], body: bytes, user_id: str) -> Outcome:
        """Send the request.

        The timeout covers resolving, connecting, TLS, request and response together. Raises
        ReceiverBusyError when too many requests to the receiver's addresses are under way.
        """
        began = time.monotonic()
        deadline = _Deadline(began + self._timeout)
        status, error, is_final = None, None, False
        try:
            addresses = self._resolve(url, deadline)
            with self._limiter.slot(addresses, user_id=user_id):
                status = self._post(url, headers, body, _PinnedBackend(addresses, deadline))
        except (CallbackRefusedError, UnresolvableError) as refusal:
            error = f"the callback URL {refusal}"
            is_final = isinstance(refusal, CallbackRefusedError)
        except httpcore.TimeoutException:
            error = "the receiver did not respond in time"
        except tuple(_REASONS) as failure:
            reason = next(text for kind, text in _REASONS.items() if isinstance(failure, kind))
            # The text of a ProtocolError contains what the receiver sent, up to 400 kB.
            details = "" if isinstance(failure, httpcore.ProtocolError) else str(failure)
            error = ": ".join(filter(None, (f"the receiver {reason}", details)))
        seconds = time.monotonic() - began
        return Outcome(status=status, error=error, duration_seconds=seconds, is_final=is_final)

    def _resolve(self, url: CallbackUrl, deadline: "_Deadline") -> Sequence[Address]:
        addresses = self._addresses_of(url.host, deadline.left(None))
        for address in addresses:  # one forbidden address refuses the host
            self._url_policy.check_address(address, url)
        return addresses

    def _post(
        self, url: CallbackUrl, headers: Mapping[str, str], body: bytes, backend: "_PinnedBackend"
    ) -> int:
        origin = httpcore.Origin(url.scheme.encode(), url.host.encode(), url.port)
        all_headers = {
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
            # The response body is not read: darkroom does not use it, and it may be endless.
            connection.stream(
                "POST",
                httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
                headers=list(all_headers.items()),
                content=body,
            ) as response,
        ):
            return int(response.status)


class _Deadline:
    def __init__(self, at: float) -> None:
        self._at = at

    def left(self, at_most: float | None) -> float:
        """Return the remaining seconds. Raises httpcore.TimeoutException when none are left."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left if at_most is None else min(left, at_most)


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to the first of the given addresses that accepts the connection, for any host."""

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
        refused: Exception = httpcore.ConnectError()
        for tried, address in enumerate(self._addresses):
            # An equal share of the remaining time: an address that never answers delays no other.
            share = self._deadline.left(None) / (len(self._addresses) - tried)
            try:
                stream = self._sockets.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return _BoundedStream(stream, self._deadline)
        raise refused


class _BoundedStream(httpcore.NetworkStream):
    """A stream with one deadline for all operations: a receiver that sends slowly times out."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _BoundedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
