"""The HTTP server for pages of this machine: Listen's web channels and the emulator's readiness.

It refuses pages of other sites and the emulator's administrator token. The emulator itself refuses
neither.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs, unquote, urlsplit

import h11
import structlog

from local_stack.firestore_proxy.emulator_link import SERVICE, EmulatorLink
from local_stack.firestore_proxy.listen_json import InvalidListenRequestError
from local_stack.firestore_proxy.web_channel import UNREAD_SECONDS, WebChannel
from local_stack.loopback import LOOPBACK_HOSTS

logger = structlog.get_logger(__name__)

_LISTEN_PATH = SERVICE + "Listen/channel"
_MAX_BODY_BYTES = 1_000_000
_MAX_CHANNELS = 1_000
_PROTOCOL_VERSION, _SERVER_VERSION, _KEEP_ALIVE_MS = 8, 12, 30_000
_PAGE_HOST = re.compile(r"page-[0-9a-z]{1,16}\.localhost(:[0-9]{1,5})?")
"""Browsers resolve names below `localhost` to their own machine, and no DNS server may define them."""
_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))


class _RejectedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str

    @property
    def origin(self) -> str | None:
        return self.headers.get("origin")


class WebServer:
    def __init__(self, link: EmulatorLink, *, unread_seconds: float = UNREAD_SECONDS) -> None:
        self._link = link
        self._unread_seconds = unread_seconds
        self._channels: dict[str, WebChannel] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Start listening. Raises OSError when the address is taken."""
        self._server = await asyncio.start_server(self._serve, host, port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for channel in tuple(self._channels.values()):
            channel.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, request by request."""
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _next_request(connection, reader)) is not None:
                await self._respond(request, connection, reader, writer)
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (h11.ProtocolError, OSError, UnicodeDecodeError) as error:
            logger.info("connection_ended", reason=repr(error))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _respond(
        self,
        request: _Request,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        status, extra, text = 200, _allowed_origin(request), ""
        try:
            _check_caller(request)
            channel = self._channel_to_read(request)
            if channel is not None:
                await _stream(request, channel, connection, reader, writer)
                return
            status, text = self._response_to(request)
        except _RejectedError as rejected:
            status, text = rejected.status, rejected.text
        body = text.encode()
        headers = (*_TEXT, *extra, ("Content-Length", str(len(body))))
        writer.write(connection.send(h11.Response(status_code=status, headers=list(headers))) or b"")
        if body:
            writer.write(connection.send(h11.Data(data=body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()

    def _response_to(self, request: _Request) -> tuple[int, str]:
        if request.method == "OPTIONS":
            return 200, ""
        if request.path == "/readyz":
            return (
                (200, "ready") if self._link.is_open else (503, "The Firestore emulator is not restored yet.")
            )
        if request.path != _LISTEN_PATH:
            raise _RejectedError(404, f"This port serves only {_LISTEN_PATH}.")
        if "SID" not in request.query:
            return 200, self._open_channel(request)
        channel = self._find_channel(request)
        if request.query.get("TYPE") == "terminate":
            channel.end()
            return 200, ""
        offset, messages = _messages(request.body)
        try:
            channel.receive(offset, messages)
        except InvalidListenRequestError as error:
            raise _RejectedError(400, str(error)) from error
        if "AID" in request.query:
            channel.confirm(_number(request, "AID"))
        return 200, _frame(channel.status())

    def _channel_to_read(self, request: _Request) -> WebChannel | None:
        """Return the channel of a reading request; None for other requests."""
        if request.method != "GET" or request.path != _LISTEN_PATH or request.query.get("RID") != "rpc":
            return None
        return self._find_channel(request)

    def _find_channel(self, request: _Request) -> WebChannel:
        channel = self._channels.get(request.query.get("SID", ""))
        if channel is None:
            raise _RejectedError(400, "Unknown SID")  # makes the client open a new channel
        return channel

    def _open_channel(self, request: _Request) -> str:
        if request.method != "POST":
            raise _RejectedError(405, "Open a channel by POST.")
        if len(self._channels) >= _MAX_CHANNELS:
            raise _RejectedError(503, f"At most {_MAX_CHANNELS} channels may be open.")
        authorization = _authorization(request)
        if authorization is not None and authorization.lower() == "bearer owner":
            raise _RejectedError(403, "Pages must not use the administrator's token.")
        session_id = secrets.token_urlsafe(16)
        channel = WebChannel(
            session_id,
            self._link,
            database=request.query.get("database", ""),
            authorization=authorization,
            on_end=partial(self._remove_channel, session_id),
            unread_seconds=self._unread_seconds,
        )
        try:
            channel.receive(*_messages(request.body))
        except InvalidListenRequestError as error:
            raise _RejectedError(400, str(error)) from error
        self._channels[session_id] = channel
        channel.start()
        opened = f'["c","{session_id}","",{_PROTOCOL_VERSION},{_SERVER_VERSION},{_KEEP_ALIVE_MS}]'
        return _frame(f"[[0,{opened}]]")

    def _remove_channel(self, session_id: str) -> None:
        self._channels.pop(session_id, None)


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> _Request | None:
    """Return the next request; None when the connection was closed. Raises ProtocolError."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MAX_BODY_BYTES:
                raise h11.RemoteProtocolError(f"The body has more than {_MAX_BODY_BYTES} bytes.")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            break
        else:
            return None
    target = urlsplit(head.target.decode("ascii"))
    return _Request(
        method=head.method.decode("ascii"),
        path=unquote(target.path),
        query={name: values[0] for name, values in parse_qs(target.query, keep_blank_values=True).items()},
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        body=body.decode("utf-8"),
    )


async def _stream(
    request: _Request,
    channel: WebChannel,
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Send the channel's chunks until the channel ends or the page closes the connection."""
    after = _number(request, "AID")
    headers = [*_TEXT, *_allowed_origin(request), ("X-Content-Type-Options", "nosniff")]
    writer.write(connection.send(h11.Response(status_code=200, headers=headers)) or b"")
    is_streaming = request.query.get("CI", "0") == "0"

    async def send_all(chunks: AsyncIterator[str]) -> None:
        async for chunk in chunks:
            writer.write(connection.send(h11.Data(data=_frame(chunk).encode())) or b"")
            await writer.drain()

    async with aclosing(channel.chunks(after, is_streaming=is_streaming)) as chunks:
        sending = asyncio.create_task(send_all(chunks))
        # A page sends nothing while it reads, so any input means that its connection has ended.
        closing = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait((sending, closing), return_when=asyncio.FIRST_COMPLETED)
            is_sent = sending.done()
        finally:
            for task in (sending, closing):
                task.cancel()
            results = await asyncio.gather(sending, closing, return_exceptions=True)
    if is_sent and not isinstance(results[0], BaseException):
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()


def _check_caller(request: _Request) -> None:
    """Raise _RejectedError for pages of other sites and host names of other machines."""
    is_foreign = request.origin is not None and not _is_local(request.origin)
    if is_foreign or not _is_own_host(request.headers.get("host", "")):
        raise _RejectedError(403, "Only pages of this machine may use the Firestore emulator.")


def _is_own_host(host: str) -> bool:
    """Return whether a Host header has a name of this machine, or one that a page has for itself.

    The origin of a page never has such a name, so no page can be pointed at this server by its name.
    """
    return _is_local(f"//{host}") or _PAGE_HOST.fullmatch(host) is not None


def _is_local(address: str) -> bool:
    try:
        return urlsplit(address).hostname in LOOPBACK_HOSTS
    except ValueError:
        return False


def _allowed_origin(request: _Request) -> tuple[tuple[str, str], ...]:
    if request.origin is None or not _is_local(request.origin):
        return (("Vary", "Origin"),)
    return (
        ("Vary", "Origin"),
        ("Access-Control-Allow-Origin", request.origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "GET, POST"),
        (
            "Access-Control-Allow-Headers",
            request.headers.get("access-control-request-headers", "Content-Type"),
        ),
    )


def _messages(body: str) -> tuple[int, list[str]]:
    """Return the first message's number and the messages of `count=1&ofs=0&req0___data__={…}`."""
    form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
    try:
        count, offset = int(form.get("count", "0")), int(form.get("ofs", "0"))
        return offset, [form[f"req{number}___data__"] for number in range(count)]
    except (KeyError, ValueError) as error:
        raise _RejectedError(400, "The body must be a form with web channel messages.") from error


def _authorization(request: _Request) -> str | None:
    """Return the token, which the web client puts into the form to avoid a preflight."""
    form = parse_qs(request.body)
    encoded = form.get("headers", [""])[0] or request.query.get("$httpHeaders", "")
    for line in encoded.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "authorization":
            return value.strip()
    return request.headers.get("authorization")


def _number(request: _Request, name: str) -> int:
    try:
        return int(request.query.get(name, "0"))
    except ValueError:
        raise _RejectedError(400, f"{name} must be a number.") from None


def _frame(text: str) -> str:
    """Return a chunk in the client's format: length in (ASCII) characters, line break, text."""
    return f"{len(text)}\n{text}"
