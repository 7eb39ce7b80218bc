"""PinnedWebhookSender: sends one POST to a receiver, over a connection to a checked address.

The sender resolves the host once, checks the resulting addresses, and connects to one of them. TLS
still verifies the host name. A later change of the DNS record (DNS rebinding) has no effect.
"""

import re
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any

import h11
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
_MAX_HEAD_BYTES = 64 * 1024
"""Of the response, with the interim responses before it."""
_READ_BYTES = 4 * 1024
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r\n]")
_SWITCHING_PROTOCOLS = 101
"""No response follows this interim status."""


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
        self._ssl_context.set_alpn_protocols(["http/1.1"])

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
        headers = {
            "Host": url.authority,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "User-Agent": self._user_agent,
            "Connection": "close",
            **headers,
        }
        with ExitStack() as exits:
            stream = exits.enter_context(closing(backend.connect_tcp(url.host, url.port)))
            if url.scheme == "https":
                stream = exits.enter_context(closing(stream.start_tls(self._ssl_context, url.host)))
            with suppress(httpcore.WriteError):  # the receiver may respond before it has read everything
                stream.write(_written(url.target, headers, body))
            return _final_status(stream)


def _written(target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method="POST", target=target, headers=list(headers.items()))
    parts = (request, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(connection.send(part) or b"" for part in parts)


def _final_status(stream: httpcore.NetworkStream) -> int:
    """Return the status of the response, once its head is complete.

    No header is parsed: darkroom uses none, and parsers take a minute for some heads of 64 KB. The
    response body is not read: darkroom does not use it, and it may be endless.
    """
    received, searched, left = bytearray(), 0, _MAX_HEAD_BYTES
    while True:
        end = _END_OF_HEAD.search(received, searched)
        if end is None:
            searched = max(0, len(received) - 2)
            data = stream.read(min(_READ_BYTES, left)) if left else b""
            if not data:
                raise httpcore.RemoteProtocolError("the response's head is incomplete or too large")
            received += data
            left -= len(data)
            continue
        status_line = _STATUS_LINE.match(received)
        if status_line is None:
            raise httpcore.RemoteProtocolError("the response has no status")
        status = int(status_line[1])
        if status >= 200 or status == _SWITCHING_PROTOCOLS:
            return status
        del received[: end.end()]
        searched = 0


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
