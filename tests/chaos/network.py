"""TCP proxies between a program and its services, which simulate network faults.

A Link is one such proxy. It forwards everything until a method changes its behaviour:

    refuse          open connections are closed, new ones are reset at once
    stall           connections stay open without transferring bytes, also new ones
    half_open       open connections stop without being closed; new ones work
    cut             open connections are closed, new ones work
    drop_responses  requests arrive, responses do not: the client does not receive the outcome
    hold            stalls, or drops responses, from the request that contains given bytes
    truncate        closes the connection a few bytes after a request contained given bytes
    restore         normal forwarding; stalled bytes arrive late, lossy connections are closed
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 16


class _Flow(Enum):
    PASS = auto()
    REFUSE = auto()
    STALL = auto()
    DROP_RESPONSES = auto()


class _TrapAction(Enum):
    """The action of a trap once its bytes have been seen."""

    HOLD_BEFORE = auto()
    HOLD_AFTER = auto()
    TRUNCATE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trap:
    sent: bytes
    spring: _TrapAction
    more_bytes: int = 0
    sprung: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, slots=True)
class _Connection:
    client: asyncio.StreamWriter
    service: asyncio.StreamWriter
    tail: bytes = b""
    lost_responses: bool = False
    frozen: bool = False

    def abort(self) -> None:
        self.client.transport.abort()
        self.service.transport.abort()


class Link:
    """One proxy. Its methods are thread-safe and return when they have taken effect."""

    def __init__(self, service_port: Callable[[], int], loop: asyncio.AbstractEventLoop) -> None:
        self._service_port = service_port
        self._loop = loop
        self._flow = _Flow.PASS
        self._moving = asyncio.Event()
        self._moving.set()
        self._traps: list[_Trap] = []
        self._connections: set[_Connection] = set()
        self.port = 0

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def restore(self) -> None:
        """Restore normal forwarding."""
        self._run_on_loop(self._restore)

    def refuse(self) -> None:
        """Reset connections, as if the service were not listening."""
        self._run_on_loop(lambda: self._set(_Flow.REFUSE, break_connections=True))

    def stall(self) -> None:
        """Keep connections open without transferring bytes."""
        self._run_on_loop(lambda: self._set(_Flow.STALL))

    def drop_responses(self) -> None:
        """Forward requests and discard the responses."""
        self._run_on_loop(lambda: self._set(_Flow.DROP_RESPONSES))

    def half_open(self) -> None:
        """Stop forwarding on open connections without closing them, as a router may."""
        self._run_on_loop(self._freeze)

    def cut(self) -> None:
        """Close the open connections and discard held data."""
        self._run_on_loop(self._break_connections)

    def reset(self) -> None:
        """Close the open connections and restore normal forwarding."""
        self.cut()
        self.restore()

    @contextmanager
    def redirected_to(self, port: int) -> Iterator[None]:
        """Within the block, forward to this port. Closes connections at both ends."""
        original = self._service_port
        self._run_on_loop(lambda: self._redirect(lambda: port))
        try:
            yield
        finally:
            self._run_on_loop(lambda: self._redirect(original))

    def hold(self, sent: bytes, *, arrives: bool) -> threading.Event:
        """From the request that contains `sent`, stall before it arrives, or forward it and discard
        the responses.

        The event is set when that has happened. Acts once.
        """
        spring = _TrapAction.HOLD_AFTER if arrives else _TrapAction.HOLD_BEFORE
        return self._add_trap(_Trap(sent=sent, spring=spring))

    def truncate(self, sent: bytes, *, more_bytes: int) -> threading.Event:
        """Close the connection `more_bytes` after `sent` in the next request. Acts once."""
        return self._add_trap(_Trap(sent=sent, spring=_TrapAction.TRUNCATE, more_bytes=more_bytes))

    # ── methods that run on the network's own thread ──────────────────────────────────────────────

    async def listen(self) -> None:
        server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]

    def _run_on_loop(self, action: Callable[[], None]) -> None:
        async def done() -> None:
            action()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)

    def _add_trap(self, trap: _Trap) -> threading.Event:
        self._run_on_loop(lambda: self._traps.append(trap))
        return trap.sprung

    def _set(self, flow: _Flow, *, break_connections: bool = False) -> None:
        self._flow = flow
        if flow is _Flow.STALL:
            self._moving.clear()
        else:
            self._moving.set()
        if break_connections:
            self._break_connections()

    def _restore(self) -> None:
        self._traps.clear()
        for connection in self._connections:
            if connection.lost_responses:
                connection.abort()  # its streams have lost bytes, so no client could continue
        self._set(_Flow.PASS)

    def _redirect(self, service_port: Callable[[], int]) -> None:
        self._service_port = service_port
        self._break_connections()

    def _freeze(self) -> None:
        for connection in self._connections:
            connection.frozen = True

    def _break_connections(self) -> None:
        for connection in self._connections:
            connection.abort()

    async def _accept(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await self._moving.wait()
        if self._flow is _Flow.REFUSE:
            to_client.transport.abort()
            return
        try:
            from_service, to_service = await asyncio.open_connection(LOOPBACK, self._service_port())
        except OSError:
            to_client.transport.abort()
            return
        connection = _Connection(to_client, to_service)
        self._connections.add(connection)
        await asyncio.gather(
            self._forward_requests(connection, from_client), self._forward_responses(connection, from_service)
        )
        self._connections.discard(connection)

    async def _forward_requests(self, connection: _Connection, source: asyncio.StreamReader) -> None:
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                if connection.frozen:
                    continue
                if not await self._spring_traps(connection, chunk):
                    break
                await self._moving.wait()
                connection.service.write(chunk)
                await connection.service.drain()
        except OSError:
            pass
        connection.abort()

    async def _forward_responses(self, connection: _Connection, source: asyncio.StreamReader) -> None:
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                await self._moving.wait()
                if connection.frozen:
                    continue
                if self._flow is _Flow.DROP_RESPONSES:
                    connection.lost_responses = True
                    continue
                connection.client.write(chunk)
                await connection.client.drain()
        except OSError:
            pass
        connection.abort()

    async def _spring_traps(self, connection: _Connection, chunk: bytes) -> bool:
        """Return whether the chunk may be forwarded. A trap's bytes may span two chunks."""
        if not self._traps:
            connection.tail = b""
            return True
        seen = connection.tail + chunk
        connection.tail = seen[-max(len(trap.sent) for trap in self._traps) :]
        for trap in self._traps:
            at = seen.find(trap.sent)
            if at < 0:
                continue
            self._traps.remove(trap)
            match trap.spring:
                case _TrapAction.HOLD_BEFORE:
                    self._set(_Flow.STALL)
                case _TrapAction.HOLD_AFTER:
                    self._set(_Flow.DROP_RESPONSES)
                case _TrapAction.TRUNCATE:
                    end = at + len(trap.sent) + trap.more_bytes - (len(seen) - len(chunk))
                    connection.service.write(chunk[: max(0, end)])
                    await connection.service.drain()
            trap.sprung.set()
            return trap.spring is not _TrapAction.TRUNCATE
        return True


class Network:
    """The links of one system, on one thread. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(_cancel_other_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def link(self, service_port: Callable[[], int]) -> Link:
        """Create a link to the service on that port, which is resolved for each connection."""
        link = Link(service_port, self._loop)
        self._run(link.listen())
        return link

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


async def _cancel_other_tasks() -> None:
    """Cancel the remaining tasks of this loop: a connection that stays open would wait forever."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
