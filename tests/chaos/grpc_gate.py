"""A gRPC proxy that forwards calls as bytes and fails selected methods."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Self

import grpc

from tests.chaos.network import LOOPBACK

_ANY_SIZE = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
_OWN_HEADERS = ("user-agent", "grpc-", "content-type", "te")


@dataclass(slots=True, kw_only=True)
class _Refusal:
    code: grpc.StatusCode
    applies: Callable[[], bool]


class GrpcGate(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """A context manager. Clients connect to `host`."""

    def __init__(self, service_host: str) -> None:
        self._channel = grpc.insecure_channel(service_host, options=_ANY_SIZE)
        self._refusals: dict[str, _Refusal] = {}
        self._refused: dict[str, int] = {}
        self._changed = threading.Condition()
        self._server = grpc.server(futures.ThreadPoolExecutor(32), handlers=(self,), options=_ANY_SIZE)
        self.port: int = self._server.add_insecure_port(f"{LOOPBACK}:0")
        self.host = f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait(10)
        self._channel.close()

    def refuse(
        self, method: str, code: grpc.StatusCode, *, applies: Callable[[], bool] = lambda: True
    ) -> None:
        """Fail calls of `method` (such as `Commit`) with `code` whenever `applies`."""
        self._refusals[method] = _Refusal(code=code, applies=applies)

    def allow(self, method: str) -> None:
        self._refusals.pop(method, None)

    def wait_until_refused(self, method: str, times: int, *, timeout_seconds: float) -> bool:
        """Wait until this many calls of `method` have failed. Return whether they did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._refused.get(method, 0) >= times, timeout_seconds)

    def service(self, details: Any) -> Any:
        """Return a call's handler. On the wire, a unary call is a stream of one message."""
        method: str = details.method
        call = self._channel.stream_stream(method, _identity, _identity)

        def serve(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            self._refuse_if_configured(method.rpartition("/")[2], context)
            headers = [
                (name, value)
                for name, value in context.invocation_metadata()
                if not name.startswith(_OWN_HEADERS)
            ]
            responses = call(requests, timeout=context.time_remaining(), metadata=headers)
            context.add_callback(responses.cancel)
            try:
                yield from responses
            except grpc.RpcError as error:
                trailers = responses.trailing_metadata() or ()
                context.set_trailing_metadata(
                    [pair for pair in trailers if pair[0].startswith("grpc-status-")]
                )
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(serve, _identity, _identity)

    def _refuse_if_configured(self, method: str, context: Any) -> None:
        refusal = self._refusals.get(method)
        if refusal is not None and refusal.applies():
            with self._changed:
                self._refused[method] = self._refused.get(method, 0) + 1
                self._changed.notify_all()
            context.abort(refusal.code, "refused by the test")


def _identity(message: bytes) -> bytes:
    return message
