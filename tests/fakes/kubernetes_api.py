"""A Kubernetes API server with one pod: TLS, bearer tokens, merge patches of annotations. Run as a process.

python -m tests.fakes.kubernetes_api ACCESS     writes ca.crt into the folder ACCESS and prints its port
"""

import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

POD = "/api/v1/namespaces/darkroom/pods/worker-1"
TOKEN = "the-pods-own-token"


class _Api(BaseHTTPRequestHandler):
    annotations: dict[str, str] = {"kept": "as it was"}  # noqa: RUF012 (the one pod)

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(HTTPStatus.UNAUTHORIZED, {})
        elif self.path != POD:
            self._answer(HTTPStatus.FORBIDDEN, {})
        elif self.headers["Content-Type"] != "application/merge-patch+json":
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {})
        else:
            self.annotations.update(json.loads(body)["metadata"]["annotations"])
            self._answer(HTTPStatus.OK, {"metadata": {"annotations": self.annotations}})

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK, {"metadata": {"annotations": self.annotations}})

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def make_certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 as `ca.crt`. Return the file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.crt").write_bytes(pem)
    private = folder / "server.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + pem
    )
    return private


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(make_certificate(Path(sys.argv[1])))
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
