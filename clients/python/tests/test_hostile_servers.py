"""Responses that no darkroom sends: every error is one of the SDK, and every read is bounded."""

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from darkroom import (
    AsyncClient,
    Client,
    ClientError,
    ConfigurationError,
    DamagedImageError,
    UnexpectedResponseError,
    UnreachableError,
)
from darkroom import received as limits
from darkroom.resources import images as image_resources
from darkroom.resources.inputs import MAX_BYTES_AT_ONCE
from scripted import problem, reply, step, task_json
from test_clients import NO_PAUSE, Chunks, Server, Use, event, use

__all__ = ["use"]
LARGE = b"\x89PNG" + bytes(MAX_BYTES_AT_ONCE)
MIB = 1024 * 1024
PROBLEM = {"Content-Type": "application/problem+json"}
STORED = {
    "index": 0, "url": "u", "width": 8, "height": 8, "seed": 1, "content_type": "image/png", "size_bytes": 9 * MIB,
    "sha256": hashlib.sha256(b"").hexdigest(),
}  # fmt: skip
COMPLETED = task_json("completed", images=[STORED])
SHARE = {
    "id": "s", "image_index": 0, "created_at": "2026-01-01T12:00:00Z", "expires_at": "2026-01-08T12:00:00Z",
}  # fmt: skip
GROWING = "/" + '"' * 30_000
"""An address that is too long only after its characters are quoted."""
BAD_ADDRESSES = [
    "http://[::1", "http://a:99999999/", "not a url \x00", "http://a/" + "é" * 70_000, GROWING,
]  # fmt: skip


def json_text(text: str) -> httpx.Response:
    return httpx.Response(200, text=text, headers={"Content-Type": "application/json"})


def item(retry_after: str) -> httpx.Response:
    body = (
        '{"status": 503, "task": null, "problem": {"code": "x", "retryable": true}, "retry_after_seconds": '
    )
    return json_text(f'{{"results": [{body}{retry_after}}}]}}')


HOSTILE: dict[str, tuple[tuple[Any, ...], Callable[[], httpx.Response]]] = {
    "nested problem": (("get", "t"), lambda: httpx.Response(400, content=b"[" * 200_000, headers=PROBLEM)),
    "nested object": (
        ("get", "t"),
        lambda: httpx.Response(400, content=b'{"a":' * 200_000, headers=PROBLEM),
    ),
    "nested task": (("get", "t"), lambda: json_text('{"a":' * 200_000)),
    "Retry-After beyond all dates": (
        ("create_key", "name", ["read"]),
        lambda: problem("x", 503, Retry_After="Mon, 01 Jan 99999999999999999999 00:00:00 GMT"),
    ),
    "progress of infinity": (
        ("get", "t"),
        lambda: json_text(reply(step(1)).text.replace("0.05", "Infinity")),
    ),
    "time without an offset": (("get", "t"), lambda: reply(task_json(created_at="2026-01-01T12:00:00"))),
}


@pytest.mark.parametrize(("call", "response"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_response_raises_an_error_of_the_sdk(
    use: Use, call: tuple[Any, ...], response: Callable[[], httpx.Response]
) -> None:
    with pytest.raises(ClientError):
        use(Server(response()), *call)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_hostile_address_raises_an_error_of_the_sdk(use: Use, address: str) -> None:
    with pytest.raises(UnexpectedResponseError):
        use(Server(reply({"upload_id": "u", "upload_url": address})), "upload", LARGE)
    with pytest.raises(UnexpectedResponseError):
        use(Server(reply({**SHARE, "url": address})), "share", "t")


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_hostile_link_to_an_image_raises_an_error_of_the_sdk(use: Use, address: str) -> None:
    redirect = httpx.Response(302, headers=[(b"Location", address.encode())])
    with pytest.raises(ClientError):
        use(Server(reply(COMPLETED), *[redirect] * 5), "images", "t")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_hostile_redirect_raises_an_error_of_the_sdk(use: Use, status: int) -> None:
    redirects = [httpx.Response(status, headers={"Location": GROWING}) for _ in range(5)]
    with pytest.raises(ClientError) as caught:
        use(Server(*redirects), "submit", "a cat")
    assert caught.value.outcome_is_unknown


DELETIONS: dict[str, tuple[str, ...]] = {
    "delete": ("t",),
    "delete_input": ("i",),
    "delete_dead_letter": ("d",),
    "revoke_key": ("k",),
    "revoke_share": ("t", "s"),
}
SIGN_IN = {"Location": "https://sign-in.example"}


@pytest.mark.parametrize("status", [200, 202, 302, 303, 304])
@pytest.mark.parametrize(("method", "ids"), DELETIONS.items(), ids=DELETIONS)
def test_deletion_needs_its_own_status(use: Use, method: str, ids: tuple[str, ...], status: int) -> None:
    use(Server(httpx.Response(204)), method, *ids)
    page = httpx.Response(status, html="<h1>Sign in</h1>", headers=SIGN_IN)
    with pytest.raises(UnexpectedResponseError, match=f"status {status}"):
        use(Server(page), method, *ids)


@pytest.mark.parametrize("status", [204, 302, 304])
def test_preview_needs_its_own_status(use: Use, status: int) -> None:
    with pytest.raises(UnexpectedResponseError, match=f"status {status}"):
        use(Server(httpx.Response(status, headers=SIGN_IN)), "preview", "t")


def test_id_that_is_too_long_for_an_address_is_refused_before_it_is_sent(use: Use) -> None:
    server = Server()
    calls: list[tuple[Any, ...]] = [("get", '"' * 30_000), ("label", "a" * 70_000, {})]
    for call in calls:
        with pytest.raises(ConfigurationError, match="cannot be part of an address"):
            use(server, *call)


ENDLESS: dict[str, tuple[str, dict[str, str]]] = {
    "tasks": ("list", {}),
    "dead_letters": ("dead_letters", {}),
    "results": ("cancel_many", {"status": "queued"}),
}


@pytest.mark.parametrize("tokens", [("a", "b", "c"), ("a", "a", "a")], ids=["new tokens", "the same token"])
@pytest.mark.parametrize(("field", "call"), ENDLESS.items(), ids=ENDLESS)
def test_empty_pages_end_with_an_error(
    use: Use, field: str, call: tuple[str, dict[str, str]], tokens: tuple[str, ...]
) -> None:
    method, filters = call
    pages = [reply({field: [], "next_page_token": token}) for token in tokens]
    with pytest.raises(UnexpectedResponseError, match="a page without progress"):
        use(Server(*pages), method, **filters)


def test_repeated_page_ends_with_an_error(use: Use) -> None:
    listed = [reply({"tasks": [task_json()], "next_page_token": "a"}) for _ in range(3)]
    with pytest.raises(UnexpectedResponseError, match="a page without progress"):
        use(Server(*listed), "list")
    result = {"task_id": "t", "status": 200, "task": task_json("cancelled"), "problem": None}
    changed = [reply({"results": [result], "next_page_token": "a"}) for _ in range(3)]
    with pytest.raises(UnexpectedResponseError, match="a page without progress"):
        use(Server(*changed), "cancel_many", status="queued")


@pytest.mark.parametrize("retry_after", ["NaN", "Infinity", "-Infinity"])
def test_hostile_pause_of_an_item_is_no_valid_response(use: Use, retry_after: str) -> None:
    (outcome,) = use(Server(item(retry_after)), "submit_many", [{"prompt": "a"}])
    assert isinstance(outcome, UnexpectedResponseError)


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
def test_host_that_cannot_exist_is_unreachable(host: str) -> None:
    with Client(f"http://{host}", retries=NO_PAUSE) as client, pytest.raises(UnreachableError):
        client.get("t")
    with pytest.raises(UnreachableError):
        asyncio.run(AsyncClient(f"http://{host}", retries=NO_PAUSE).get("t"))


def test_etag_that_no_header_can_have_is_not_sent_back(use: Use) -> None:
    queued = httpx.Response(200, json=task_json(), headers=[(b"ETag", '"é"'.encode())])
    server = Server(queued, reply(task_json("completed")))
    assert use(server, "wait", "t").status == "completed"
    assert "If-None-Match" not in server.requests[-1].headers


def test_event_id_that_no_header_can_have_is_not_sent_back(use: Use) -> None:
    def events(*chunks: bytes) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Chunks(*chunks))

    server = Server(
        events(event(step(1), "é")), reply(step(2)), events(event(task_json("completed"), "last"))
    )
    assert len(use(server, "stream", "t")) == 3
    assert "Last-Event-ID" not in server.requests[-1].headers


def test_event_stream_is_utf_8_whatever_its_charset(use: Use) -> None:
    headers = {"Content-Type": "text/event-stream; charset=hex"}
    stream = Chunks(event(task_json("completed", model="größer"), "last"))
    (task,) = use(Server(httpx.Response(200, headers=headers, stream=stream)), "stream", "t")
    assert task.model == "größer"


def test_doctor_reads_a_hostile_server(use: Use) -> None:
    hostile = httpx.Response(
        200,
        content=b'{"dependencies":' * 200_000,
        headers={"Date": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"},
    )
    checks = use(Server(hostile, *[httpx.Response(200, content=b"[" * 200_000)] * 2), "diagnose")
    assert [check.outcome for check in checks][1:] == ["failed", "skipped", "failed", "failed", "skipped"]


class Body(Chunks):
    """A body of many equal chunks that counts the requested ones."""

    def __init__(self, chunk: bytes, count: int) -> None:
        super().__init__()
        self._chunk, self._count = chunk, count
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.sent < self._count:
            self.sent += 1
            yield self._chunk


def test_error_page_is_read_up_to_its_limit(use: Use) -> None:
    body = Body(b" " * MIB, 20)
    with pytest.raises(UnexpectedResponseError, match="status 400"):
        use(Server(httpx.Response(400, headers=PROBLEM, stream=body)), "get", "t")
    assert (body.sent, body.is_closed) == (limits.MAX_ERROR_BYTES // MIB, True)


def test_json_is_read_up_to_its_limit(use: Use) -> None:
    body = Body(b" " * MIB, 100)
    with pytest.raises(UnexpectedResponseError, match="status 200"):
        use(Server(httpx.Response(200, stream=body)), "get", "t")
    assert (body.sent, body.is_closed) == (limits.MAX_JSON_BYTES // MIB, True)


@pytest.mark.parametrize("is_redirected", [False, True])
def test_image_is_read_up_to_its_limit(
    use: Use, monkeypatch: pytest.MonkeyPatch, *, is_redirected: bool
) -> None:
    assert limits.MAX_IMAGE_BYTES > limits.MAX_JSON_BYTES
    monkeypatch.setattr(image_resources, "MAX_IMAGE_BYTES", 3 * MIB)
    body = Body(b" " * MIB, 10)
    link = [httpx.Response(302, headers={"Location": "https://storage.example/0"})] * is_redirected
    with pytest.raises(DamagedImageError):
        use(Server(reply(COMPLETED), *link, httpx.Response(200, stream=body)), "images", "t")
    assert (body.sent, body.is_closed) == (3, True)


def test_image_is_read_up_to_its_stated_size(use: Use) -> None:
    stated = {**STORED, "size_bytes": MIB}
    body = Body(b" " * MIB, 10)
    server = Server(reply(task_json("completed", images=[stated])), httpx.Response(200, stream=body))
    with pytest.raises(DamagedImageError):
        use(server, "images", "t")
    assert (body.sent, body.is_closed) == (2, True)


@pytest.mark.parametrize(("indexes", "num_images"), [((0, 1), 1), ((0, 0), 2)])
@pytest.mark.parametrize("method", ["images", "download"])
def test_more_images_than_requested_are_not_read(
    use: Use, method: str, indexes: tuple[int, ...], num_images: int
) -> None:
    stated = [{**STORED, "index": index} for index in indexes]
    parameters = {**task_json()["parameters"], "num_images": num_images}
    server = Server(reply(task_json("completed", images=stated, parameters=parameters)))
    with pytest.raises(UnexpectedResponseError, match="more images than requested"):
        use(server, method, "t")
    assert len(server.requests) == 1


def test_images_that_are_too_large_together_are_not_read(use: Use) -> None:
    size = limits.MAX_IMAGES_BYTES // 2 + 1
    stated = [{**STORED, "index": index, "size_bytes": size} for index in range(2)]
    parameters = {**task_json()["parameters"], "num_images": 2}
    server = Server(reply(task_json("completed", images=stated, parameters=parameters)))
    with pytest.raises(UnexpectedResponseError, match="too large together"):
        use(server, "images", "t")
    assert len(server.requests) == 1


def test_compressed_body_is_limited_after_it_is_decoded(use: Use) -> None:
    body = Body(gzip.compress(b" " * MIB), 20)
    headers = {**PROBLEM, "Content-Encoding": "gzip"}
    with pytest.raises(UnexpectedResponseError):
        use(Server(httpx.Response(400, headers=headers, stream=body)), "get", "t")
    assert (body.sent, body.is_closed) == (1, True)


def test_body_with_nested_encodings_is_not_read(use: Use) -> None:
    body = Body(gzip.compress(gzip.compress(b" " * MIB)), 1)
    headers = {**PROBLEM, "Content-Encoding": "gzip, gzip"}
    with pytest.raises(UnexpectedResponseError):
        use(Server(httpx.Response(400, headers=headers, stream=body)), "get", "t")
    assert (body.sent, body.is_closed) == (0, True)


@pytest.mark.parametrize("chunk", [b"data: " + b" " * MIB, b"data: " + b" " * MIB + b"\n"])
def test_event_is_read_up_to_its_limit(use: Use, chunk: bytes) -> None:
    body = Body(chunk, 40)
    stream = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=body)
    (task,) = use(Server(stream, reply(task_json("completed"))), "stream", "t")
    assert task.status == "completed"
    assert (body.sent, body.is_closed) == (limits.MAX_EVENT_CHARACTERS // MIB, True)


def test_events_of_a_long_stream_have_no_common_limit(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EVENT_CHARACTERS", 5_000)
    chunks = [event(step(number), str(number)) for number in range(20)]
    stream = Chunks(*chunks, event(task_json("completed"), "last"))
    events = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)
    assert len(use(Server(events), "stream", "t")) == 21
    assert sum(map(len, chunks)) > 5_000 > max(map(len, chunks))
