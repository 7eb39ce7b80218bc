"""BufferingWorker: gunicorn's threaded worker, whose threads receive complete requests only.

gthread assigns a thread to each connection, and the thread reads until the caller has sent the whole
request: a few hundred callers who send a byte a second occupy all threads. Here the event loop reads
heads and bodies without blocking, within a deadline and within limits per caller. The requests of each
network address wait for threads in a queue of their own, and get one when the concurrency limiter admits
them. Health checks have separate threads. Closing a connection does not block the loop either.
"""

import contextlib
import errno
import json
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ
from typing import Any

import structlog
from gunicorn.errors import AppImportError
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from common.settings import SettingsError
from frontend_api.fair_shares import FairShares
from frontend_api.http.concurrency_limiter import INTERNAL, ConcurrencyLimiter, visitors_of
from frontend_api.http.error_shape import shape_at
from frontend_api.http.json_body import MAX_BODY_BYTES
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.request_log import HEALTH_PATHS
from frontend_api.http_server.incoming_request import IncomingRequest
from frontend_api.http_server.request_parser import InvalidRequestError, ReceivedParser
from frontend_api.http_server.request_threads import Place, RequestThreads
from frontend_api.http_server.unfinished_requests import UnfinishedLimits, UnfinishedRequests
from frontend_api.http_server.unread_responses import UnreadResponses
from frontend_api.inputs.request_body import FORM_BYTES
from frontend_api.inputs.responses import PATH as INPUTS_PATH
from frontend_api.internal.schemas import MAX_ENVELOPE_BYTES
from frontend_api.openai_compatibility.edits import MAX_FILES as EDIT_FILES
from frontend_api.openai_compatibility.edits import PATH as EDITS_PATH
from frontend_api.openai_compatibility.errors import ERROR_SHAPES
from frontend_api.settings import ApiSettings

_log = structlog.get_logger(__name__)
_RECEIVE_BYTES = 64 * 1024
_BUFFERED_BYTES = 96 * 1024 * 1024
"""Of unfinished requests, and again of requests in progress."""
_SMALL_BYTES = 64 * 1024
"""Smaller requests are admitted whatever memory the bodies of others have: there are fewer than 3,500."""
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_IGNORED_BODY_BYTES = 8 * 1024
"""No route reads it, and event streams keep it until they end."""
_WAITING_REQUESTS = 1_500
"""For a thread. RequestThreads admits three fifths more; `worker_connections` must have room for all."""
_THREADS_OF_USER, _THREADS_OF_INTERNAL = 2, 4
"""Times `DARKROOM_API_THREADS`: the requests of one user that run, call services, or wait for the user's turn."""
_HEALTH_THREADS = 4
_WAITING_HEALTH_CHECKS = 100
_SPARE_CONNECTIONS = 32
"""The worker closes idle connections to keep this many free, for example for health checks."""
_LINGER_SECONDS = 5.0
"""How long the worker reads from a closed connection: a reset could discard the response."""
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS = 0.01
"""A connection that cannot be accepted makes the poller return at once until a file is closed."""
_TAKES_NOTHING = struct.pack("ll", 30, 0)
"""SO_SNDTIMEO: sending fails, and the thread is free, when a caller reads nothing for this many seconds. They
begin again after each part that the kernel takes.
"""

_TAKES_SLOWLY_SECONDS = 3.0
"""The worker may disconnect a caller who has bytes to read for so long, if requests wait for threads."""
_READERS_CHECK_SECONDS = 0.5
"""How often it searches for such callers, which may be hundreds, in the loop that serves all others."""


def _read_settings() -> ApiSettings:
    """Read the settings. gunicorn prints an AppImportError once, without a traceback."""
    try:
        return ApiSettings()
    except SettingsError as error:
        raise AppImportError(str(error)) from error


def max_body_bytes(method: str, path: str, *, max_input_bytes: int) -> int:
    """Return how much of a body is buffered. Above their own, lower limits the routes respond with 413."""
    if path in HEALTH_PATHS:
        return 0
    if method in _WITHOUT_BODY:
        return _IGNORED_BODY_BYTES
    if path.startswith("/internal/"):
        return MAX_ENVELOPE_BYTES
    if path == INPUTS_PATH:
        return max_input_bytes + FORM_BYTES
    if path == EDITS_PATH:
        return EDIT_FILES * max_input_bytes + FORM_BYTES
    return MAX_BODY_BYTES + _RECEIVE_BYTES


class _Connection(TConn):  # type: ignore[misc]
    """A connection and the request that arrives on it."""

    incoming: IncomingRequest
    was_continued: bool
    place: Place
    """Set when the request is complete, as `threads`."""
    threads: RequestThreads
    held_bytes: int
    """The memory that counts for the caller."""


class _PutBack(BaseException):  # no error, so that the application does not respond to it
    """The request's user, who was unknown, has no thread left for it. It is handled again from its beginning."""

    def __init__(self, user: str) -> None:
        super().__init__()
        self.user = user


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """`keepalived_conns` of the base class holds the connections without any byte of a request."""

    def init_process(self) -> None:
        settings = _read_settings()
        self._proxies = settings.proxies
        self._address = settings.public_address
        self._max_body_bytes = partial(max_body_bytes, max_input_bytes=settings.max_input_bytes)
        self._unfinished: UnfinishedRequests[_Connection] = UnfinishedRequests(
            UnfinishedLimits(
                seconds=settings.request_deadline_seconds,
                per_caller=settings.max_unfinished_per_caller,
                buffered_bytes=_BUFFERED_BYTES,
            )
        )
        self._lingering: dict[_Connection, float] = {}
        self._responses: UnreadResponses[_Connection] = UnreadResponses(seconds=_TAKES_SLOWLY_SECONDS)
        self._readers_checked = 0.0
        self._bytes_held = FairShares(_BUFFERED_BYTES)
        self._threads = RequestThreads(
            self.cfg.threads - settings.max_waiting,
            waiting=_WAITING_REQUESTS,
            name="request",
            slots=settings.max_waiting,
            per_user=lambda user: (
                (_THREADS_OF_INTERNAL if user == INTERNAL else _THREADS_OF_USER) * settings.api_threads
            ),
        )
        self._health_threads = RequestThreads(_HEALTH_THREADS, waiting=_WAITING_HEALTH_CHECKS, name="health")
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return the pool that gunicorn shuts down."""
        return self._threads.pool

    def load_wsgi(self) -> None:
        """Load the application. gunicorn prints an AppImportError once, without a traceback."""
        try:
            super().load_wsgi()
            self._limiter: ConcurrencyLimiter = self.wsgi.extensions["darkroom"].http
        except SettingsError as error:
            raise AppImportError(str(error)) from error

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and wait for its request, without a thread."""
        if self.nr_conns >= self.worker_connections - _SPARE_CONNECTIONS:
            self._close_idle()
        try:
            client, address = listener.accept()
        except OSError as error:
            # A failed connection, or too many open files, must not end the process.
            if error.errno in _OUT_OF_FILES:
                self._close_idle()
                time.sleep(_PAUSE_SECONDS)
            return
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TAKES_NOTHING)
        self.nr_conns += 1
        connection = _Connection(self.cfg, client, address, listener.getsockname())
        connection.initialized = True  # the proxy in front handles TLS and HTTP/2
        self._await_request(connection)

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        try:
            self.keepalived_conns.remove(conn)
        except ValueError:
            return  # closed since the poller reported these bytes
        self.poller.unregister(client)
        self._begin(conn)

    def finish_request(self, conn: _Connection, fs: Future[bool]) -> None:
        """Keep or close a connection after its response, or queue its request again."""
        self._responses.end(conn)
        error = None if fs.cancelled() else fs.exception()
        if isinstance(error, _PutBack):
            conn.parser.put_back()
            conn.threads.put_back(conn.place, error.user)
            return
        self._release_body(conn)
        conn.threads.leave(conn.place)
        del conn.place  # a cycle of references
        keeps = not fs.cancelled() and error is None and fs.result()
        if keeps:
            self._await_request(conn, self._forgotten(conn).rest)
        else:
            self._linger(conn)

    def handle(self, conn: _Connection) -> Any:
        """Handle a connection's request in a thread."""
        if conn.threads is self._health_threads:
            return super().handle(conn)
        with self._limiter.holding(_turn_of(conn), partial(self._identify, conn)):
            return super().handle(conn)

    def _identify(self, conn: _Connection, user: str) -> None:
        if conn.place.user is not None or conn.threads.identify(conn.place, user):
            return
        if not conn.threads.admits_user(user):
            raise RequestRefusedError(_busy())
        raise _PutBack(user)

    def handle_request(self, req: Any, conn: _Connection) -> bool:
        """Handle a request in a thread. The body is complete, so no `100 Continue` is sent.

        A route that has used the body and waits for changes calls `environ["wsgi.input"].begin_wait()`. It
        has a subscription until the response is sent.
        """
        req._expected_100_continue = False
        req.body.begin_wait = partial(self._begin_wait, conn)
        try:
            return bool(super().handle_request(req, conn))
        except BlockingIOError as error:  # see _TAKES_NOTHING: caused by the caller, so not logged
            raise BrokenPipeError(errno.EPIPE, "the caller does not read the response") from error

    def _begin_wait(self, conn: _Connection) -> None:
        self._release_body(conn)
        conn.threads.begin_wait(conn.place)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Respond to a request that gunicorn's parser rejects, in the format of the routes."""
        if isinstance(exc, InvalidRequestError):
            self._send_problem(client, exc.path, _not_http(str(exc)))
        else:
            super().handle_error(req, client, addr, exc)

    def _keepalive_after(self, conn: _Connection, keepalive: bool) -> bool:
        """Return whether the connection can be kept: not after a body that gunicorn's parser rejects."""
        try:
            return bool(super()._keepalive_after(conn, keepalive))
        except (ParseException, NoMoreData):  # no route has read it, and the response is sent
            return False

    def murder_pending(self) -> None:
        """Close overdue connections. Called in each iteration of the loop."""
        now = time.monotonic()
        if self.nr_conns >= self.worker_connections:
            self._close_idle()  # no connection is accepted meanwhile
        for conn in self._unfinished.overdue(now=now):
            self._give_up(conn, "the request did not arrive within the allowed time")
        while self._lingering and next(iter(self._lingering.values())) <= now:
            self._drop(next(iter(self._lingering)))
        if now >= self._readers_checked + _READERS_CHECK_SECONDS:
            self._readers_checked = now
            self._free_threads(now)

    def _free_threads(self, now: float) -> None:
        """Disconnect callers who do not read their responses, while requests wait for their threads."""
        for conn in self._responses.check(now=now):
            if conn.threads.are_awaited(conn.place):
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)  # sending fails at once

    def _close_idle(self) -> None:
        if self._lingering:
            self._drop(next(iter(self._lingering)))
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._drop(conn)
        elif (oldest := self._unfinished.oldest()) is not None:
            self._unfinished.end(oldest)
            self.poller.unregister(oldest.sock)
            self._drop(oldest)

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    def _await_request(self, conn: _Connection, arrived: bytes = b"") -> None:
        try:
            conn.sock.setblocking(False)
        except OSError:
            self._drop(conn)
            return
        if arrived:
            self._begin(conn, arrived)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self._read_with(conn, self.on_client_socket_readable)

    def _begin(self, conn: _Connection, arrived: bytes = b"") -> None:
        conn.incoming = IncomingRequest(max_body_bytes=self._max_body_bytes, own_path=self._address.own_path)
        conn.was_continued = False
        self._unfinished.begin(conn, now=time.monotonic())
        self._read_with(conn, self._receive)
        if arrived:
            self._take(conn, arrived)
        else:
            self._receive(conn, conn.sock)

    def _receive(self, conn: _Connection, client: socket.socket) -> None:
        if conn not in self._unfinished:
            return  # refused since the poller reported these bytes
        try:
            data = client.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(conn, data)
        else:
            self._end_reading(conn)
            self._drop(conn)

    def _take(self, conn: _Connection, data: bytes) -> None:
        incoming = conn.incoming
        incoming.feed(data)
        if incoming.is_too_large:
            self._end_reading(conn)
            detail = f"the body may have at most {incoming.max_body_bytes} bytes"
            self._refuse(conn, Problem(code="body_too_large", detail=detail))
        elif incoming.is_malformed:
            self._end_reading(conn)
            self._refuse(conn, _not_http(incoming.fault))
        elif incoming.is_complete:
            self._end_reading(conn)
            self._dispatch(conn)
        else:
            if incoming.wants_continue and not conn.was_continued:
                conn.was_continued = True
                with contextlib.suppress(OSError):
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            for excess in self._unfinished.grow(conn, caller=self._caller(conn), size=incoming.size):
                self._give_up(excess, "too many requests from your address were arriving at once")

    def _caller(self, conn: _Connection) -> str | None:
        """Return the caller's address. Behind a proxy it is unknown until the head is complete."""
        incoming = conn.incoming
        if self._proxies.count and incoming.path is None:
            return None
        peer = conn.client[0] if isinstance(conn.client, tuple) else "local"
        return self._proxies.network_of_caller(peer, incoming.forwarded_for)

    def _dispatch(self, conn: _Connection) -> None:
        is_health_check = conn.incoming.path in HEALTH_PATHS
        conn.threads = self._health_threads if is_health_check else self._threads
        address = self._caller(conn) or "unknown"
        headers, conn.incoming.headers = conn.incoming.headers, {}  # streams keep the rest until they end
        user = None if is_health_check else self._limiter.user_with(headers)
        size = conn.incoming.size
        conn.held_bytes = 0 if size < _SMALL_BYTES else size
        has_memory = not conn.held_bytes or self._bytes_held.admits(address)
        if not (has_memory and conn.threads.admits(address, user)):
            self._refuse(conn, _busy())
            return
        conn.parser = ReceivedParser(self.cfg, conn.incoming, conn.client)
        conn.data_ready = True
        if conn.held_bytes:
            self._bytes_held.take(address, conn.held_bytes)
        start = partial(self._start if is_health_check else self._await_turn, conn)
        conn.place = Place(address=address, user=user, kind=_kind_of(conn.incoming), start=start)
        conn.threads.enter(conn.place)

    def _await_turn(self, conn: _Connection) -> None:
        """Queue a request for which a thread is free, until it is the turn of its user."""
        self._limiter.enter_request(_turn_of(conn), partial(self.method_queue.defer, self._start, conn))

    def _start(self, conn: _Connection) -> None:
        """Submit the request to the pool, which has a free thread."""
        self._responses.begin(conn, conn.sock)
        future = conn.threads.pool.submit(self.handle, conn)
        future.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

    def _release_body(self, conn: _Connection) -> None:
        """Count the body no longer: it was used, or the request has ended."""
        if conn.held_bytes:
            self._bytes_held.give_back(conn.place.address, conn.held_bytes)
            conn.held_bytes = 0

    # ── closing ─────────────────────────────────────────────────────────────────────────────────────────────

    def _give_up(self, conn: _Connection, detail: str) -> None:
        self._end_reading(conn)
        self._refuse(conn, Problem(code="request_timeout", detail=detail))

    def _refuse(self, conn: _Connection, problem: Problem) -> None:
        """Respond without a thread."""
        self._send_problem(conn.sock, conn.incoming.path or "", problem)
        self._linger(conn)

    def _send_problem(self, client: socket.socket, path: str, problem: Problem) -> None:
        """Respond without a route. A response of a few hundred bytes fits into the send buffer."""
        _log.warning(
            "request_refused_unread", status=problem.kind.status, code=problem.code, detail=problem.detail
        )
        with contextlib.suppress(OSError):
            client.send(_written(problem, path, self._address.base_path))

    def _linger(self, conn: _Connection) -> None:
        """Close the connection, but read and discard its input for a while (RFC 9112, section 9.6)."""
        self._forgotten(conn)
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        self._lingering[conn] = time.monotonic() + _LINGER_SECONDS
        self._read_with(conn, self._discard)

    def _forgotten(self, conn: _Connection) -> IncomingRequest:
        """Remove the answered request from its connection, which may be kept for minutes, and return it."""
        answered, conn.parser = conn.incoming, None
        del conn.incoming
        return answered

    def _discard(self, conn: _Connection, client: socket.socket) -> None:
        if conn not in self._lingering:
            return
        try:
            is_over = not client.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._drop(conn)

    def _drop(self, conn: _Connection) -> None:
        if self._lingering.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _end_reading(self, conn: _Connection) -> None:
        self._unfinished.end(conn)
        self.poller.unregister(conn.sock)

    def _read_with(self, conn: _Connection, callback: Callable[[_Connection, socket.socket], None]) -> None:
        self.poller.register(conn.sock, EVENT_READ, partial(callback, conn))


def _turn_of(conn: _Connection) -> str:
    """Return the request's caller in the concurrency limiter."""
    return conn.place.user or visitors_of(conn.place.address)


def _kind_of(incoming: IncomingRequest) -> str:
    """Return the method and the beginning of the path, such as `GET /v1/tasks`."""
    return f"{incoming.method} {'/'.join((incoming.path or '').split('/', 3)[:3])}"


def _busy() -> Problem:
    detail = "this process has reached its limit of requests in progress; try again"
    return Problem(code="server_busy", detail=detail, headers={"Retry-After": "2"})


def _not_http(fault: str) -> Problem:
    return Problem(code="bad_request", detail=f"the request is not valid HTTP: {fault}")


def _written(problem: Problem, path: str, base_path: str) -> bytes:
    shape = shape_at(path, ERROR_SHAPES)
    body = json.dumps(shape.body(problem, None, base_path)).encode()
    headers: dict[str, Any] = {
        "Content-Type": shape.media_type,
        "Content-Length": len(body),
        "Cache-Control": "no-store",
        "Connection": "close",
        **problem.headers,
    }
    head = f"HTTP/1.1 {shape.status(problem.code)} {problem.kind.title}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{head}{lines}\r\n".encode() + body
