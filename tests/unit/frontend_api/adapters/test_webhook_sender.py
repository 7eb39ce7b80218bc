"""The webhook sender against real receivers: its requests, its connections, its timeouts."""

import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from frontend_api.adapters.address_resolver import SystemResolver, UnresolvableError
from frontend_api.adapters.webhook_sender import PinnedWebhookSender
from frontend_api.webhooks.delivery_limiter import AddressLimiter, ReceiverBusyError
from frontend_api.webhooks.delivery_log import Outcome
from frontend_api.webhooks.url_policy import Address, CallbackUrlPolicy, PrivateReceivers

LOCAL = CallbackUrlPolicy(allows_loopback=True)
BODY = b'{"type": "task.completed"}'
PATIENCE_SECONDS = 0.5


class Receiver(ThreadingHTTPServer):
    """Records requests and answers with `status` and `headers`."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.endless_body = False

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, {n.lower(): v for n, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        while self.server.endless_body:
            try:
                self.wfile.write(b"more " * 1_000)
            except OSError:
                return

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serving(receiver: Receiver) -> Iterator[Receiver]:
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as one:
        yield one


@contextmanager
def raw_receiver(behaves: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield a port that handles each connection with this function."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_suppressed, args=(behaves, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


def _suppressed(behaves: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection:
        try:
            behaves(connection)
        except OSError:
            return


def resolving(*addresses: str) -> Callable[[str, float], Sequence[Address]]:
    return lambda _host, _timeout: [ipaddress.ip_address(address) for address in addresses]


def post(
    url: str, *, url_policy: CallbackUrlPolicy = LOCAL, addresses_of: Any = None, **settings: Any
) -> tuple[Outcome, float]:
    sender = PinnedWebhookSender(
        url_policy=url_policy,
        addresses_of=addresses_of or SystemResolver(at_once=1),
        limiter=settings.pop("limiter", None) or AddressLimiter(per_address=1, silent_in_all=1),
        timeout_seconds=settings.pop("timeout_seconds", 60.0),
        user_agent="darkroom/test",
        **settings,
    )
    began = time.monotonic()
    outcome = sender.send(LOCAL.parse(url), headers={"webhook-id": "event-1"}, body=BODY, user_id="ada")
    return outcome, time.monotonic() - began


def test_request_has_the_given_url_headers_and_body(receiver: Receiver) -> None:
    outcome, _ = post(f"http://localhost:{receiver.port}/hook?a=b")
    assert (outcome.status, outcome.error) == (204, None)
    assert outcome.duration_seconds > 0
    ((path, headers, body),) = receiver.requests
    assert (path, body) == ("/hook?a=b", BODY)
    assert headers["host"] == f"localhost:{receiver.port}"
    assert (headers["content-type"], headers["user-agent"]) == ("application/json", "darkroom/test")
    assert (headers["webhook-id"], headers["content-length"]) == ("event-1", str(len(BODY)))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.status = status
    receiver.headers = {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere", "Content-Length": "0"}
    outcome, _ = post(f"http://127.0.0.1:{receiver.port}/hook")
    assert (outcome.status, outcome.is_success) == (status, False)
    assert [path for path, _, _ in receiver.requests] == ["/hook"]


def test_endless_response_is_not_read(receiver: Receiver) -> None:
    receiver.status, receiver.endless_body = 200, True
    outcome, _ = post(f"http://127.0.0.1:{receiver.port}/")
    assert outcome.status == 200


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def drips(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"x")
        connection.settimeout(0.02)
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue


@pytest.mark.parametrize("behaves", [says_nothing, drips])
def test_slow_receiver_is_cut_off_at_the_deadline(behaves: Callable[[socket.socket], None]) -> None:
    with raw_receiver(behaves) as port:
        outcome, seconds = post(f"http://127.0.0.1:{port}/", timeout_seconds=PATIENCE_SECONDS)
    assert (outcome.status, outcome.error) == (None, "the receiver did not respond in time")
    assert seconds >= PATIENCE_SECONDS * 0.9


def closes_at_once(connection: socket.socket) -> None:
    connection.recv(65_536)


def speaks_something_else(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def sends_a_long_line(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"secret" * 15_000 + b"\r\n\r\n")


@pytest.mark.parametrize("behaves", [speaks_something_else, sends_a_long_line])
def test_error_contains_nothing_that_the_receiver_sent(behaves: Callable[[socket.socket], None]) -> None:
    with raw_receiver(behaves) as port:
        outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert outcome.error is not None
    assert "mail.example.com" not in outcome.error
    assert "secret" not in outcome.error


@pytest.mark.parametrize("behaves", [closes_at_once, speaks_something_else])
def test_invalid_response_is_reported(behaves: Callable[[socket.socket], None]) -> None:
    with raw_receiver(behaves) as port:
        outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert outcome.status is None
    assert str(outcome.error).startswith(
        ("the receiver sent no valid HTTP response", "the receiver broke the connection")
    )


def sends_costly_blanks(connection: socket.socket) -> None:
    """h11 takes quadratic time for these: 15 s for this head, in which no other thread runs."""
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Costly:" + b" " * 32_000 + b"\0\r\n\r\n")


def test_costly_response_takes_little_processor_time() -> None:
    with raw_receiver(sends_costly_blanks) as port:
        began = time.process_time()
        outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert outcome.status == 200
    assert time.process_time() - began < 1


def sends_interim_responses(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.")
    connection.sendall(b"1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def test_interim_responses_are_skipped() -> None:
    with raw_receiver(sends_interim_responses) as port:
        outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert outcome.status == 202


def sends_interim_responses_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def test_endless_interim_responses_are_refused() -> None:
    with raw_receiver(sends_interim_responses_without_end) as port:
        outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert outcome.status is None
    assert str(outcome.error).startswith("the receiver sent no valid HTTP response")


def responds_before_it_has_read(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65_536):
        pass


def test_early_response_is_read() -> None:
    with raw_receiver(responds_before_it_has_read) as port:
        outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert outcome.status == 413


def test_refused_connection_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outcome, _ = post(f"http://127.0.0.1:{port}/")
    assert str(outcome.error).startswith("the receiver cannot be connected to")
    assert not outcome.is_final


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.7"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],  # one forbidden address is enough
    ],
)
def test_private_address_is_never_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    connected: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda address, *_, **__: connected.append(address))
    outcome, _ = post(
        f"https://localhost:{receiver.port}/",
        url_policy=CallbackUrlPolicy(),
        addresses_of=resolving(*addresses),
    )
    assert re.search("not a public address|may be a metadata server", str(outcome.error))
    assert outcome.is_final
    assert not connected
    assert not receiver.requests


def test_private_receiver_gets_the_request_if_its_network_is_listed(receiver: Receiver) -> None:
    listed = CallbackUrlPolicy(private_receivers=PrivateReceivers.parse(["127.0.0.0/8"]))
    sender = PinnedWebhookSender(
        url_policy=listed,
        addresses_of=resolving("127.0.0.1"),
        limiter=AddressLimiter(per_address=1, silent_in_all=1),
        timeout_seconds=60,
        user_agent="darkroom/test",
    )
    url = listed.parse(f"http://receiver.internal:{receiver.port}/")
    assert sender.send(url, headers={}, body=BODY, user_id="ada").status == 204
    assert receiver.requests[0][1]["host"] == f"receiver.internal:{receiver.port}"


def test_host_names_of_one_address_share_its_slots(receiver: Receiver) -> None:
    """A wildcard domain has any number of host names."""
    limiter = AddressLimiter(per_address=1, silent_in_all=1)
    url = f"http://localhost:{receiver.port}/"
    with limiter.slot([ipaddress.ip_address("127.0.0.1")], user_id="ada"), pytest.raises(ReceiverBusyError):
        post(url, addresses_of=resolving("127.0.0.1"), limiter=limiter)
    assert receiver.requests == []
    outcome, _ = post(url, addresses_of=resolving("127.0.0.1"), limiter=limiter)
    assert outcome.status == 204


def test_connection_uses_the_checked_address_when_the_name_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *arguments: Any, **more: Any) -> Any:
        if host != "localhost":
            return real(host, *arguments, **more)
        lookups.append(host)
        return real("127.0.0.1" if len(lookups) == 1 else "127.0.0.2", *arguments, **more)

    with serving(Receiver()) as meant, serving(Receiver("127.0.0.2", meant.port)) as internal:
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        outcome, _ = post(f"http://localhost:{meant.port}/")
        assert outcome.status == 204
        assert (len(meant.requests), len(internal.requests), len(lookups)) == (1, 0, 1)
        # The next attempt resolves and checks the name again.
        outcome, _ = post(f"http://localhost:{meant.port}/", url_policy=CallbackUrlPolicy())
        assert "127.0.0.2, which is not a public address" in str(outcome.error)
        assert (len(meant.requests), len(internal.requests), len(lookups)) == (1, 0, 2)


def test_next_address_is_tried_when_the_first_refuses(receiver: Receiver) -> None:
    outcome, _ = post(f"http://localhost:{receiver.port}/", addresses_of=resolving("127.0.0.77", "127.0.0.1"))
    assert outcome.status == 204


def test_unresolvable_name_is_reported() -> None:
    def nothing(_host: str, _timeout: float) -> Sequence[Address]:
        raise UnresolvableError("leads to a host that cannot be resolved")

    outcome, _ = post("https://localhost/", addresses_of=nothing)
    assert outcome.error == "the callback URL leads to a host that cannot be resolved"


def test_hanging_resolver_is_cut_off_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: stuck.wait())
    try:
        outcome, _ = post("https://localhost/", timeout_seconds=0.2)
        assert outcome.error == "the callback URL could not be resolved in time"
    finally:
        stuck.set()


def test_lookups_that_were_cut_off_do_not_delay_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, real = threading.Event(), socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: stuck.wait() if host == "hangs.example" else real(host, *rest, **named),
    )
    resolver = SystemResolver(at_once=1)
    try:
        for _ in range(3):
            with pytest.raises(UnresolvableError):
                resolver("hangs.example", 0.05)
        assert resolver("127.0.0.1", 60) == (ipaddress.ip_address("127.0.0.1"),)
    finally:
        stuck.set()


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────


def _certificate(name: str, folder: Path) -> Path:
    """Create a file with a key and a self-signed certificate for one name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(("proven", "is_taken"), [("hooks.example.com", True), ("evil.example.com", False)])
def test_tls_verifies_the_host_name_and_not_the_address(tmp_path: Path, proven: str, is_taken: bool) -> None:
    pem = _certificate(proven, tmp_path)
    with_key = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with_key.load_cert_chain(pem)
    believing = ssl.create_default_context(cafile=str(pem))
    receiver = Receiver()
    receiver.socket = with_key.wrap_socket(receiver.socket, server_side=True)
    with serving(receiver):
        outcome, _ = post(
            f"https://hooks.example.com:{receiver.port}/",
            addresses_of=resolving("127.0.0.1"),
            ssl_context=believing,
        )
    assert (outcome.status, len(receiver.requests)) == ((204, 1) if is_taken else (None, 0))
    if not is_taken:
        assert "CERTIFICATE_VERIFY_FAILED" in str(outcome.error)
