"""Large texts are compressed for callers that accept it; nothing else is."""

import gzip
import json

import brotli
import pytest

from tests.unit.frontend_api.conftest import PNG, Api

GZIP = {"Accept-Encoding": "gzip, deflate"}
SCRIPT = "console.log('darkroom');\n" * 1_000


@pytest.fixture
def script(api: Api) -> str:
    (api.folder / "assets").mkdir()
    (api.folder / "assets" / "index-abc.js").write_text(SCRIPT)
    return "/assets/index-abc.js"


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, deflate", "gzip"), ("gzip, deflate, br", "br"), ("br;q=0, *", "gzip")]
)
def test_script_is_compressed(api: Api, script: str, accepted: str, encoding: str) -> None:
    headers = {"Accept-Encoding": accepted}
    answer = api.client.get(script, headers=headers)
    decompress = {"gzip": gzip.decompress, "br": brotli.decompress}[encoding]
    assert decompress(answer.data).decode() == SCRIPT
    assert answer.headers["Content-Encoding"] == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) == len(answer.data) < len(SCRIPT) / 10
    assert answer.headers["ETag"].startswith("W/")
    again = api.client.get(script, headers={**headers, "If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("accepted", [None, "identity", "gzip;q=0", "deflate"])
def test_script_is_plain_for_other_callers(api: Api, script: str, accepted: str | None) -> None:
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    answer = api.client.get(script, headers=headers)
    assert answer.text == SCRIPT
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_long_list_is_compressed(api: Api) -> None:
    for number in range(10):
        api.stored_task(task_id=f"task-{number}")
    answer = api.client.get("/v1/tasks", headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"  # compressed for each response
    assert len(json.loads(gzip.decompress(answer.data))["tasks"]) == 10


def test_single_task_keeps_its_etag(api: Api) -> None:
    task = api.stored_task(labels={"note": "x" * 90})
    plain = api.client.get(f"/v1/tasks/{task.id}").headers["ETag"]
    assert api.client.get(f"/v1/tasks/{task.id}", headers=GZIP).headers["ETag"] == plain


def test_image_is_not_compressed(api: Api) -> None:
    task = api.completed_task()
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0", headers=GZIP)
    assert answer.data == PNG
    assert "Content-Encoding" not in answer.headers
