"""Network: small TCP proxies between a program and the services it talks to, which do what real networks do.

A Link is one such proxy. It passes everything on until it is told otherwise:

    refuse         open connections break, new ones are reset at once
    stall          connections stay open and nothing moves, new ones wait as well
    half_open      what is open never moves again and nobody is told; new connections pass
    cut            open connections break, new ones pass
    drop_answers   requests arrive, their answers do not: whoever asked cannot know the outcome
    hold           stalls, or drops answers, from the moment a request carries certain bytes: a breakpoint on the wire
    truncate       breaks the connection a few bytes after a request carried certain bytes
    pass_on        all is well again; what was stalled arrives late, what lost answers is broken
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 16


class _Flow(Enum):
    PASS = auto()
    REFUSE = auto()
    STALL = auto()
    DROP_ANSWERS = auto()


class _Spring(Enum):
    """What a trap does once its bytes were seen."""

    HOLD_BEFORE = auto()
    HOLD_AFTER = auto()
    TRUNCATE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trap:
    sent: bytes
    spring: _Spring
    more_bytes: int = 0
    sprung: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, slots=True)
class _Connection:
    client: asyncio.StreamWriter
    service: asyncio.StreamWriter
    tail: bytes = b""
    lost_answers: bool = False
    frozen: bool = False

    def abort(self) -> None:
        self.client.transport.abort()
        self.service.transport.abort()


class Link:
    """One proxy. Its verbs may be called from any thread and return when they are in force."""

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
        """`address:port`, as the emulators' variables have it."""
        return f"{LOOPBACK}:{self.port}"

    def pass_on(self) -> None:
        """All is well again."""
        self._now(self._pass_on)

    def refuse(self) -> None:
        """As if nobody listened any more."""
        self._now(lambda: self._set(_Flow.REFUSE, break_connections=True))

    def stall(self) -> None:
        """Connections stay, bytes do not move."""
        self._now(lambda: self._set(_Flow.STALL))

    def drop_answers(self) -> None:
        """Requests arrive, answers are lost."""
        self._now(lambda: self._set(_Flow.DROP_ANSWERS))

    def half_open(self) -> None:
        """What is open is dead, and neither side is told: a router has lost its table."""
        self._now(self._freeze)

    def cut(self) -> None:
        """Break what is open, and with it whatever was held."""
        self._now(self._break_connections)

    @contextmanager
    def leading_to(self, port: int) -> Iterator[None]:
        """Within the block, as if the service were on this port. Connections are broken at both ends of it."""
        usual = self._service_port
        self._now(lambda: self._lead(lambda: port))
        try:
            yield
        finally:
            self._now(lambda: self._lead(usual))

    def hold(self, sent: bytes, *, arrives: bool) -> threading.Event:
        """From the request on that carries `sent`: stall before it arrives, or let it arrive and drop the answers.

        The event is set when that has happened. Acts once.
        """
        spring = _Spring.HOLD_AFTER if arrives else _Spring.HOLD_BEFORE
        return self._trapped(_Trap(sent=sent, spring=spring))

    def truncate(self, sent: bytes, *, more_bytes: int) -> threading.Event:
        """Break the connection `more_bytes` after `sent` in the next request that carries it. Acts once."""
        return self._trapped(_Trap(sent=sent, spring=_Spring.TRUNCATE, more_bytes=more_bytes))

    # ── everything below runs on the network's own thread ────────────────────────────────────────────────

    async def listen(self) -> None:
        """Begin to accept connections, on a free port."""
        server = await asyncio.start_server(self._accepted, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]

    def _now(self, do: Callable[[], None]) -> None:
        async def done() -> None:
            do()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def _trapped(self, trap: _Trap) -> threading.Event:
        self._now(lambda: self._traps.append(trap))
        return trap.sprung

    def _set(self, flow: _Flow, *, break_connections: bool = False) -> None:
        self._flow = flow
        if flow is _Flow.STALL:
            self._moving.clear()
        else:
            self._moving.set()
        if break_connections:
            self._break_connections()

    def _pass_on(self) -> None:
        self._traps.clear()
        for connection in self._connections:
            if connection.lost_answers:
                connection.abort()  # its streams lack bytes: no client could go on with them
        self._set(_Flow.PASS)

    def _lead(self, service_port: Callable[[], int]) -> None:
        self._service_port = service_port
        self._break_connections()

    def _freeze(self) -> None:
        for connection in self._connections:
            connection.frozen = True

    def _break_connections(self) -> None:
        for connection in self._connections:
            connection.abort()

    async def _accepted(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
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
            self._carry_requests(connection, from_client), self._carry_answers(connection, from_service)
        )
        self._connections.discard(connection)

    async def _carry_requests(self, connection: _Connection, source: asyncio.StreamReader) -> None:
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                if connection.frozen:
                    continue
                if not await self._passed_traps(connection, chunk):
                    break
                await self._moving.wait()
                connection.service.write(chunk)
                await connection.service.drain()
        except OSError:
            pass
        connection.abort()

    async def _carry_answers(self, connection: _Connection, source: asyncio.StreamReader) -> None:
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                await self._moving.wait()
                if connection.frozen:
                    continue
                if self._flow is _Flow.DROP_ANSWERS:
                    connection.lost_answers = True
                    continue
                connection.client.write(chunk)
                await connection.client.drain()
        except OSError:
            pass
        connection.abort()

    async def _passed_traps(self, connection: _Connection, chunk: bytes) -> bool:
        """Whether the chunk may go on. A trap's bytes may lie across two chunks."""
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
                case _Spring.HOLD_BEFORE:
                    self._set(_Flow.STALL)
                case _Spring.HOLD_AFTER:
                    self._set(_Flow.DROP_ANSWERS)
                case _Spring.TRUNCATE:
                    end = at + len(trap.sent) + trap.more_bytes - (len(seen) - len(chunk))
                    connection.service.write(chunk[: max(0, end)])
                    await connection.service.drain()
            trap.sprung.set()
            return trap.spring is not _Spring.TRUNCATE
        return True


class Network:
    """The links of one system, on a thread of their own. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(_everything_else_ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def link(self, service_port: Callable[[], int]) -> Link:
        """A new link to the service on that port, which is asked for at each connection."""
        link = Link(service_port, self._loop)
        self._run(link.listen())
        return link

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


async def _everything_else_ended() -> None:
    """Cancel what still runs on this loop: a connection that nobody closes waits for ever."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
