"""A server with the paths of the Hugging Face Hub that huggingface_hub needs to list and download a model."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_of_a_user_with_access"


@dataclass
class Repository:
    """A model of the hub. The faults are set by tests."""

    files: dict[str, bytes]
    gated: bool = False
    """Needs TOKEN: without a token the response is 401, with another one 403."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """The connection breaks once after this many bytes of a file's content."""
    sends: dict[str, bytes] = field(default_factory=dict)
    """Other content than the listing's hash is of."""
    states_size: dict[str, int] = field(default_factory=dict)
    """Another size in the listing."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """The path in the repository and the range of each download."""

    @classmethod
    def of_folder(cls, folder: Path) -> "Repository":
        return cls({
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()
        })  # fmt: skip

    @property
    def downloaded(self) -> set[str]:
        return {name for name, _ in self.requests}

    def listing(self, name: str) -> dict[str, Any]:
        return {
            "id": name, "modelId": name, "sha": COMMIT, "private": False, "gated": "auto" if self.gated else False,
            "tags": [], "downloads": 0, "likes": 0, "siblings": [self._sibling(each) for each in self.files],
        }  # fmt: skip

    def _sibling(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        size = self.states_size.get(name, len(content))
        sibling: dict[str, Any] = {
            "rfilename": name, "size": size,
            "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest(),
        }  # fmt: skip
        if name.endswith((".safetensors", ".bin", ".ckpt")):
            sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return sibling


@contextmanager
def hub_server(models: Mapping[str, Repository]) -> Iterator[str]:
    """Serve the models, by `owner/name`. Yield the address for HF_ENDPOINT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if listed := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
                self._list(listed[1], listed[2])
            elif resolved := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self._resolve(resolved[1], resolved[3])
            else:
                self._refuse(404, "EntryNotFound")

        def _list(self, name: str, revision: str | None) -> None:
            if name not in models:  # the hub does not say that a model does not exist
                self._refuse(401, "RepoNotFound")
            elif revision not in (None, "main", COMMIT):
                self._refuse(404, "RevisionNotFound")
            else:
                self._send(200, json.dumps(models[name].listing(name)).encode())

        def _resolve(self, name: str, file: str) -> None:
            model = models[name]
            wanted = self.headers["Range"]
            model.requests.append((file, wanted))
            content = model.sends.get(file, model.files[file])
            if model.gated and self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._refuse(403 if self.headers["Authorization"] else 401, "GatedRepo")
            elif wanted is None:
                self._send(200, content, cut_after=model.cut_after.pop(file, None))
            else:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last) + 1 if last else None]
                span = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
                self._send(206, part, {"Content-Range": span})

        def _refuse(self, status: int, code: str) -> None:
            self._send(status, b"{}", {"X-Error-Code": code})

        def _send(
            self, status: int, body: bytes, headers: Mapping[str, str] = {}, *, cut_after: int | None = None
        ) -> None:
            self.send_response(status)
            for header, value in {
                **headers,
                "Content-Length": str(len(body)),
                "X-Repo-Commit": COMMIT,
            }.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body[:cut_after])
            self.close_connection = cut_after is not None

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
