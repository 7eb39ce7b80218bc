"""The API below a path that a proxy adds."""

from pathlib import Path
from typing import Any

import pytest

from frontend_api.public_address import PublicAddress
from tests.unit.frontend_api.conftest import PNG, Api

BELOW, ROOT = "/pictures/", "/"


@pytest.fixture
def api(tmp_path: Path) -> Api:
    (tmp_path / "index.html").write_text("<p>page</p>")
    return Api(folder=tmp_path, address=PublicAddress.parse("https://example.com/pictures/"))


@pytest.mark.parametrize(
    ("url", "origin", "base_path"),
    [
        ("https://example.com", "https://example.com", ""),
        ("https://Example.com/", "https://example.com", ""),
        ("http://10.0.0.7:8080/pictures", "http://10.0.0.7:8080", "/pictures"),
        ("https://[::1]/a/b-c/", "https://[::1]", "/a/b-c"),
    ],
)
def test_url_is_split(url: str, origin: str, base_path: str) -> None:
    assert PublicAddress.parse(url) == PublicAddress(origin=origin, base_path=base_path)


@pytest.mark.parametrize(
    "url",
    ["", "/pictures", "example.com", "ftp://example.com", "https://", "https://a@example.com", "https://e.com/?q",
     "https://e.com/#f", "https://e.com:port", "https://e.com/../x", "https://e.com//x", "https://e.com/ä"],
)  # fmt: skip
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        PublicAddress.parse(url)


# A proxy either passes the path on or removes it.
@pytest.mark.parametrize("prefix", [BELOW, ROOT])
def test_addresses_in_responses_lead_back(api: Api, prefix: str) -> None:
    answer = api.client.post(f"{prefix}v1/tasks", json={"prompt": "a large red circle"})
    task = answer.get_json()
    own = f"/pictures/v1/tasks/{task['id']}"
    assert answer.headers["Location"] == task["urls"]["self"] == own
    assert (task["urls"]["events"], task["urls"]["cancel"]) == (f"{own}/events", f"{own}/cancel")
    assert api.client.get(own).get_json()["id"] == task["id"]


def test_images_of_listed_and_single_tasks_lead_back(api: Api) -> None:
    task = api.completed_task(task_id="t")
    for path in ("v1/tasks", "v1/tasks/t", "v1/results/t"):
        body = api.client.get(f"{BELOW}{path}").get_json()
        (image,) = (body["tasks"][0] if "tasks" in body else body)["images"]
        assert image["url"] == "/pictures/v1/tasks/t/images/0"
        assert api.client.get(image["url"]).data == PNG
    assert api.dependencies.tasks.render.response(task).urls.self_ == "/pictures/v1/tasks/t"


def test_batch_and_its_problems_lead_back(api: Api) -> None:
    tasks = [{"prompt": "a large red circle"}, {"prompt": "x", "steps": 0}]
    results = api.client.post(f"{BELOW}v1/tasks:batch", json={"tasks": tasks}).get_json()["results"]
    assert results[0]["task"]["urls"]["self"].startswith("/pictures/v1/tasks/")
    assert results[1]["problem"]["type"] == "/pictures/problems/parameters-rejected"


@pytest.mark.parametrize("prefix", [BELOW, ROOT])
def test_problem_type_leads_to_the_reference(api: Api, prefix: str) -> None:
    problem = api.client.get(f"{prefix}v1/tasks/none").get_json()
    assert problem["type"] == "/pictures/problems/task-not-found"
    found = api.client.get(problem["type"])
    assert found.headers["Location"] == "/pictures/docs#?route=overview--task_not_found"


def test_redirects_stay_below_the_path(api: Api) -> None:
    assert api.client.get("/pictures").headers["Location"] == "/pictures/"
    answer = api.client.get(BELOW)
    assert (answer.status_code, answer.text) == (200, "<p>page</p>")
    moved = api.client.get(f"{BELOW}v1//tasks")
    assert (moved.status_code, moved.headers["Location"]) == (308, "/pictures/v1/tasks")


def test_openapi_document_names_the_path(api: Api) -> None:
    document: Any = api.client.get(f"{BELOW}openapi.json").get_json()
    assert [server["url"] for server in document["servers"]] == ["/pictures"]


def test_page_of_the_public_address_may_change_data(api: Api) -> None:
    body = {"prompt": "a large red circle"}
    # A proxy with its defaults replaces Host. Over http, browsers send no Sec-Fetch-Site.
    for origin, status in (("https://example.com", 202), ("https://evil.example", 403)):
        answer = api.client.post(f"{BELOW}v1/tasks", json=body, headers={"Origin": origin})
        assert answer.status_code == status


def test_similar_path_is_not_below(api: Api) -> None:
    assert api.client.get("/pictures2/v1/models").status_code == 404
