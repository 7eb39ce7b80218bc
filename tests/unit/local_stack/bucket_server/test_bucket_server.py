"""The bucket server over HTTP, without a socket: what browsers and the client library rely on."""

import errno
import json
import resource
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from local_stack.bucket_server import object_files
from local_stack.bucket_server.app import create_app
from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.records import Preconditions, StorageError
from local_stack.bucket_server.uploads import ResumableUploads

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def server(tmp_path: Path) -> FlaskClient:
    return serve(tmp_path)


def serve(directory: Path) -> FlaskClient:
    client = create_app(ObjectStore(directory)).test_client()
    client.post("/storage/v1/b?project=demo-x", json={"name": "images"})
    return client


def upload(
    server: FlaskClient,
    name: str = "a.png",
    content: bytes = CONTENT,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    **settings: object,
) -> TestResponse:
    settings = {"name": name, "contentType": "image/png", **settings}
    return server.post(
        f"/upload/storage/v1/b/images/o?uploadType=multipart{query}",
        data=b"--xyz\r\ncontent-type: application/json\r\n\r\n"
        + json.dumps(settings).encode()
        + b"\r\n--xyz\r\ncontent-type: image/png\r\n\r\n"
        + content
        + b"\r\n--xyz--",
        content_type='multipart/related; boundary="xyz"',
        headers=headers,
    )


def names(server: FlaskClient, query: str = "") -> list[str]:
    listed = server.get(f"/storage/v1/b/images/o?{query}").get_json()
    return [item["name"] for item in listed["items"]]


def test_object_link_serves_the_image(server: FlaskClient) -> None:
    upload(server, "tasks/t/1.png")
    response = server.get("/images/tasks/t/1.png")
    assert (response.status_code, response.data) == (200, CONTENT)
    assert response.content_type == "image/png"
    assert response.headers["Accept-Ranges"] == "bytes"


def test_head_returns_the_size_without_content(server: FlaskClient) -> None:
    upload(server)
    response = server.head("/images/a.png")
    assert (response.status_code, response.data, response.content_length) == (200, b"", len(CONTENT))


def test_download_is_304_when_the_etag_matches(server: FlaskClient) -> None:
    upload(server)
    etag = server.get("/images/a.png").headers["ETag"]
    assert server.get("/images/a.png", headers={"If-None-Match": etag}).status_code == 304
    upload(server, content=b"new")
    assert server.get("/images/a.png", headers={"If-None-Match": etag}).data == b"new"


@pytest.mark.parametrize(
    ("wanted", "content", "content_range"),
    [
        ("bytes=0-9", CONTENT[:10], "bytes 0-9/1024"),
        ("bytes=1000-", CONTENT[1000:], "bytes 1000-1023/1024"),
        ("bytes=-4", CONTENT[-4:], "bytes 1020-1023/1024"),
        ("bytes=1000-9999", CONTENT[1000:], "bytes 1000-1023/1024"),
    ],
)
def test_download_returns_a_range(
    server: FlaskClient, wanted: str, content: bytes, content_range: str
) -> None:
    upload(server)
    response = server.get("/images/a.png", headers={"Range": wanted})
    assert (response.status_code, response.data) == (206, content)
    assert response.headers["Content-Range"] == content_range


def test_range_beyond_the_end_is_416(server: FlaskClient) -> None:
    upload(server)
    response = server.get("/images/a.png", headers={"Range": "bytes=1024-"})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"])
def test_preflight_of_a_local_page_is_allowed(server: FlaskClient, origin: str) -> None:
    response = server.options(
        "/images/a.png",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "range",
        },
    )
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "GET" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "range"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},  # an image in a foreign page sends no origin
        {"Host": "rebound.example", "Origin": "http://rebound.example", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_requests_of_foreign_pages_are_rejected(server: FlaskClient, headers: dict[str, str]) -> None:
    upload(server)
    responses = [
        server.get("/images/a.png", headers=headers),
        server.get("/storage/v1/b/images/o", headers=headers),
        upload(server, content=b"other", headers=headers),
        server.delete("/storage/v1/b/images/o/a.png", headers=headers),
        server.options("/images/a.png", headers={**headers, "Access-Control-Request-Method": "DELETE"}),
    ]
    assert {response.status_code for response in responses} <= {400, 403}
    assert not any("Access-Control-Allow-Origin" in response.headers for response in responses)
    assert server.get("/images/a.png").data == CONTENT


def test_cache_control_header_is_that_of_the_object(server: FlaskClient) -> None:
    upload(server)
    assert server.get("/images/a.png").headers["Cache-Control"] == "private, max-age=0"
    upload(server, cacheControl="public, max-age=60")
    assert server.get("/images/a.png").headers["Cache-Control"] == "public, max-age=60"


def test_missing_object_is_404_in_both_apis(server: FlaskClient) -> None:
    assert server.get("/images/none").content_type.startswith("application/xml")
    response = server.get("/storage/v1/b/images/o/none")
    assert response.status_code == 404
    assert response.get_json()["error"]["errors"][0]["reason"] == "notFound"
    assert upload(server, query="").status_code == 200
    assert server.get("/storage/v1/b/nothing/o").status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("&ifGenerationMatch=0", 412),
        ("&ifGenerationMatch=1", 412),
        ("&ifGenerationMatch={generation}", 200),
        ("&ifMetagenerationMatch=1", 200),
        ("&ifMetagenerationMatch=2", 412),
        ("&ifMetagenerationNotMatch=1", 501),
        ("&ifGenerationMatch=x", 400),
    ],
)
def test_upload_honors_preconditions(server: FlaskClient, query: str, status: int) -> None:
    generation = upload(server).get_json()["generation"]
    assert upload(server, content=b"new", query=query.format(generation=generation)).status_code == status
    assert server.get("/images/a.png").data == (b"new" if status == 200 else CONTENT)


def test_reads_and_deletes_honor_preconditions(server: FlaskClient) -> None:
    generation = upload(server).get_json()["generation"]
    one = "/storage/v1/b/images/o/a.png"
    assert server.get(f"{one}?ifGenerationMatch=1").status_code == 412
    assert server.get(f"{one}?generation=1").status_code == 404
    assert server.delete(f"{one}?ifGenerationMatch=1").status_code == 412
    assert server.delete(f"{one}?ifGenerationMatch={generation}").status_code == 204
    assert upload(server, query="&ifGenerationMatch=0").status_code == 200


def test_generation_grows_with_each_upload(server: FlaskClient) -> None:
    first, second = upload(server).get_json(), upload(server).get_json()
    assert int(second["generation"]) > int(first["generation"])


def test_upload_is_rejected_for_a_wrong_checksum(server: FlaskClient, tmp_path: Path) -> None:
    assert upload(server, crc32c="AAAAAA==").status_code == 400
    assert names(server) == []
    assert list((tmp_path / "images" / "contents").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../../escape", "a//b", "/a", "a/../../../etc/passwd", "ünï cödé", "a%b", "x" * 1024, "a?b#c"]
)
def test_object_names_cannot_escape_the_folder(server: FlaskClient, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.parent.iterdir())
    upload(server, name)
    assert names(server) == [name]
    assert set(tmp_path.parent.iterdir()) == before
    assert {path.name for path in tmp_path.iterdir()} == {"images"}


@pytest.mark.parametrize("name", ["", "..", "x" * 1025, "a\nb"])
def test_upload_is_rejected_for_an_invalid_object_name(server: FlaskClient, name: str) -> None:
    assert upload(server, name).status_code == 400


@pytest.mark.parametrize("name", ["..", "../x", "UPPER", "a", "a/b", ""])
def test_bucket_is_rejected_for_an_invalid_name(server: FlaskClient, name: str) -> None:
    assert server.post("/storage/v1/b?project=demo-x", json={"name": name}).status_code == 400


def test_bucket_is_created_once(server: FlaskClient) -> None:
    assert server.post("/storage/v1/b?project=demo-x", json={"name": "images"}).status_code == 409
    assert server.get("/storage/v1/b/images").get_json()["name"] == "images"
    assert server.get("/storage/v1/b/nothing").status_code == 404


def test_objects_survive_a_restart(tmp_path: Path) -> None:
    first = serve(tmp_path)
    generation = upload(first, metadata={"a": "1"}).get_json()["generation"]
    (tmp_path / "images" / "contents" / ".pending-cut-short").write_bytes(b"half")
    second = serve(tmp_path)
    assert second.get("/images/a.png").data == CONTENT
    assert second.get("/storage/v1/b/images/o/a.png").get_json()["metadata"] == {"a": "1"}
    assert int(upload(second).get_json()["generation"]) > int(generation)
    assert len(list((tmp_path / "images" / "contents").iterdir())) == 1


@pytest.mark.parametrize("damaged", ["a record", "the bucket's record", "a missing content"])
def test_server_starts_after_a_power_failure_without_fsync(tmp_path: Path, damaged: str) -> None:
    first = serve(tmp_path)
    upload(first, "a.png")
    upload(first, "b.png")
    folder = tmp_path / "images"
    record = next(file for file in (folder / "objects").iterdir() if '"a.png"' in file.read_text())
    if damaged == "a missing content":
        next((folder / "contents").glob("*-a.png")).unlink()
    else:
        (record if damaged == "a record" else folder / "bucket.json").write_bytes(b"")
    second = serve(tmp_path)
    assert second.get("/images/a.png").status_code == 404
    assert second.get("/images/b.png").status_code == (404 if damaged == "the bucket's record" else 200)
    assert upload(second, "a.png").status_code == 200
    third = serve(tmp_path)
    assert {third.get(f"/images/{name}.png").status_code for name in "ab"} == {200}


def test_disk_has_the_content_before_the_record_and_both_before_the_response(
    tmp_path: Path, server: FlaskClient, file_steps: list[tuple[str, Path]]
) -> None:
    file_steps.clear()
    upload(server)
    contents, objects = tmp_path / "images" / "contents", tmp_path / "images" / "objects"
    [content], [record] = contents.iterdir(), objects.iterdir()
    (pending_verb, pending), *later = [step for step in file_steps if step[0] != "create"]
    assert (pending_verb, pending.parent) == ("sync", contents)
    assert later == [
        ("rename", content),
        ("sync", contents),
        ("sync", objects / f".{record.name}.new"),
        ("rename", record),
        ("sync", objects),
    ]


def test_failed_upload_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(tmp_path)
    upload(server)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(object_files, "replace_file", fail_without_space)
    assert upload(server, content=b"new").status_code == 503
    assert sorted(tmp_path.rglob("*")) == before
    assert server.get("/images/a.png").data == CONTENT


@pytest.mark.parametrize("left", ["record", "content"])
def test_failed_deletion_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str) -> None:
    """The file system cannot delete one of the object's two files for a while."""
    server = serve(tmp_path)
    upload(server)
    unlink = Path.unlink
    folder = tmp_path / "images" / {"record": "objects", "content": "contents"}[left]

    def fail_in_folder(path: Path, missing_ok: bool = False) -> None:
        if path.parent == folder:
            fail_without_space()
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail_in_folder)
        assert server.delete("/storage/v1/b/images/o/a.png").status_code == 503
    assert server.delete("/storage/v1/b/images/o/a.png").status_code == 204
    assert server.get("/images/a.png").status_code == 404
    assert not any(file.name != "bucket.json" for file in tmp_path.rglob("*") if file.is_file())
    assert serve(tmp_path).get("/images/a.png").status_code == 404


def fail_without_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_resumable_upload_continues_after_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk is written in part, then its record is not written; the client repeats both."""
    store = ObjectStore(tmp_path)
    store.create_bucket("images", {})
    uploads = ResumableUploads(store)
    upload_id = uploads.begin("images", "a.png", {}, Preconditions())
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            uploads.receive(upload_id, None, CONTENT, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    with monkeypatch.context() as patch:
        patch.setattr(object_files, "replace_file", fail_without_space)
        with pytest.raises(OSError, match="No space left"):
            uploads.receive(upload_id, None, CONTENT, {})
    record, _ = uploads.receive(upload_id, None, CONTENT, {})
    assert record is not None
    with store.open("images", "a.png", Preconditions())[1] as content:
        assert content.read() == CONTENT


def test_open_object_stays_readable_when_replaced(server: FlaskClient) -> None:
    upload(server)
    reading = server.get("/images/a.png", buffered=False)
    upload(server, content=b"new")
    server.delete("/storage/v1/b/images/o/a.png")
    assert reading.get_data() == CONTENT


def test_listing_supports_prefix_and_pages(server: FlaskClient) -> None:
    for name in ("a/1", "a/2", "b", "c/1"):
        upload(server, name)
    assert names(server, "prefix=a/") == ["a/1", "a/2"]
    first = server.get("/storage/v1/b/images/o?maxResults=3").get_json()
    assert [item["name"] for item in first["items"]] == ["a/1", "a/2", "b"]
    second = server.get(f"/storage/v1/b/images/o?maxResults=3&pageToken={first['nextPageToken']}").get_json()
    assert [item["name"] for item in second["items"]] == ["c/1"]
    assert "nextPageToken" not in second


def test_multipart_upload_preserves_the_content(server: FlaskClient) -> None:
    media = b"\r\n--not the boundary\r\n\r\n" + CONTENT + b"\r\n"
    record = upload(server, "m.png", media, metadata={"k": "v"}).get_json()
    assert (record["contentType"], record["metadata"]) == ("image/png", {"k": "v"})
    assert server.get("/images/m.png").data == media


@pytest.mark.parametrize("body", [b"", b"--xyz--", b"--xyz\r\n\r\n{}\r\n--xyz--", b"--xyz{}--xyz{}--xyz--"])
def test_multipart_upload_is_rejected_when_malformed(server: FlaskClient, body: bytes) -> None:
    response = server.post(
        "/upload/storage/v1/b/images/o?uploadType=multipart&name=a",
        data=body,
        content_type="multipart/related; boundary=xyz",
    )
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("metageneration", "settings", "status"),
    [
        (None, {"metadata": {"a": "2"}}, 200),
        (None, {"customTime": "2026-01-02T00:00:00Z"}, 200),
        (None, {"customTime": "2026-01-01T00:00:00+00:00"}, 200),
        (None, {"customTime": "2025-12-31T00:00:00Z"}, 400),
        (None, {"customTime": "tomorrow"}, 400),
        (2, {"metadata": {"a": "2"}}, 200),
        (1, {"metadata": {"a": "2"}}, 412),
    ],
)
def test_change_replaces_settings(
    server: FlaskClient, metageneration: int | None, settings: dict[str, object], status: int
) -> None:
    upload(server, "a.png")
    address = "/storage/v1/b/images/o/a.png"
    server.patch(address, json={"customTime": "2026-01-01T00:00:00Z"})
    before = server.get(address).get_json()
    query = {} if metageneration is None else {"ifMetagenerationMatch": metageneration}
    answer = server.patch(address, json=settings, query_string=query)
    after = server.get(address).get_json()
    assert answer.status_code == status
    if status != 200:
        assert after == before
        return
    assert after == answer.get_json()
    assert {**before, **settings, "metageneration": "3"}.items() <= {
        **after,
        "updated": before["updated"],
        "etag": before["etag"],
    }.items()


def test_change_of_a_missing_object_is_not_found(server: FlaskClient) -> None:
    assert server.patch("/storage/v1/b/images/o/none", json={}).status_code == 404


def test_deletion_honors_the_metageneration(server: FlaskClient) -> None:
    upload(server, "a.png")
    address = "/storage/v1/b/images/o/a.png"
    server.patch(address, json={"metadata": {}})
    assert server.delete(f"{address}?ifMetagenerationMatch=1").status_code == 412
    assert server.delete(f"{address}?ifMetagenerationMatch=2").status_code == 204


class TestResumableUploads:
    @pytest.fixture
    def session(self, server: FlaskClient) -> str:
        begun = server.post(
            "/upload/storage/v1/b/images/o?uploadType=resumable&ifGenerationMatch=0",
            json={"name": "r.png", "contentType": "image/png"},
        )
        return begun.headers["Location"].removeprefix("http://localhost")

    def send(self, server: FlaskClient, session: str, content_range: str, body: bytes = b"") -> TestResponse:
        return server.put(session, data=body, headers={"Content-Range": content_range})

    def test_resumable_upload_joins_its_chunks(self, server: FlaskClient, session: str) -> None:
        assert self.send(server, session, "bytes 0-511/*", CONTENT[:512]).headers["Range"] == "bytes=0-511"
        assert server.get("/images/r.png").status_code == 404
        last = self.send(server, session, "bytes 512-1023/1024", CONTENT[512:])
        assert (last.status_code, last.get_json()["size"]) == (200, "1024")
        assert server.get("/images/r.png").data == CONTENT
        assert self.send(server, session, "bytes */1024").status_code == 200

    def test_resumable_upload_reports_the_received_bytes(self, server: FlaskClient, session: str) -> None:
        status = self.send(server, session, "bytes */*")
        assert (status.status_code, "Range" in status.headers) == (308, False)
        self.send(server, session, "bytes 0-511/*", CONTENT[:512])
        assert self.send(server, session, "bytes */1024").headers["Range"] == "bytes=0-511"
        overlapping = self.send(server, session, "bytes 256-1023/1024", CONTENT[256:])
        assert overlapping.status_code == 200
        assert server.get("/images/r.png").data == CONTENT

    def test_resumable_upload_ignores_a_chunk_after_a_gap(self, server: FlaskClient, session: str) -> None:
        response = self.send(server, session, "bytes 512-1023/1024", CONTENT[512:])
        assert (response.status_code, "Range" in response.headers) == (308, False)

    def test_resumable_upload_checks_preconditions_at_the_end(
        self, server: FlaskClient, session: str, tmp_path: Path
    ) -> None:
        upload(server, "r.png", b"first")
        assert self.send(server, session, "bytes 0-1023/1024", CONTENT).status_code == 412
        assert server.get("/images/r.png").data == b"first"
        assert self.send(server, session, "bytes */1024").status_code == 404
        assert len(list((tmp_path / "images" / "contents").iterdir())) == 1

    @pytest.mark.parametrize("content_range", ["nonsense", "bytes 0-9/1024"])
    def test_resumable_upload_rejects_an_invalid_range(
        self, server: FlaskClient, session: str, content_range: str
    ) -> None:
        assert self.send(server, session, content_range, CONTENT).status_code == 400

    def test_unfinished_uploads_hold_no_open_files(self, server: FlaskClient) -> None:
        def open_files() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        before = open_files()
        for number in range(20):
            server.post("/upload/storage/v1/b/images/o?uploadType=resumable", json={"name": f"{number}.png"})
        assert open_files() == before

    def test_unfinished_uploads_are_discarded_after_a_week(self, tmp_path: Path) -> None:
        store, now = ObjectStore(tmp_path), [0.0]
        store.create_bucket("images", {})
        uploads = ResumableUploads(store, now=lambda: now[0])

        def begin() -> str:
            return uploads.begin("images", "a.png", {}, Preconditions())

        first, finished = begin(), begin()
        uploads.receive(finished, None, CONTENT, {})
        now[0] = 8 * 24 * 3_600
        begin()
        for upload_id in (first, finished):
            with pytest.raises(StorageError):
                uploads.receive(upload_id, None, CONTENT, {})
        contents = [path.name for path in (tmp_path / "images" / "contents").iterdir()]
        assert sorted(name.startswith(".pending") for name in contents) == [False, True]
