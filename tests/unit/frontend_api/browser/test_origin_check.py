"""Pages of other sites in the browser of a user who runs the local stack."""

import pytest
from flask import Flask

from frontend_api.app import create_app
from tests.unit.frontend_api.conftest import Api

BODY = {"prompt": "a large red circle"}


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_loopback_names_are_accepted_on_any_port(api: Api, host: str) -> None:
    assert api.client.get("/v1/tasks", headers={"Host": host}).status_code == 200
    assert api.client.post("/v1/tasks", json=BODY, headers={"Host": host}).status_code == 202


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example:8080",
        "127.0.0.1.rebound.example",
        "localhost.evil",
        "",
        "[::2]",
        "::1",
        "localhost:80:1",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/tasks"), ("POST", "/v1/tasks"), ("GET", "/"), ("GET", "/config.json"), ("GET", "/healthz")],
)
def test_other_host_names_are_rejected(api: Api, host: str, method: str, path: str) -> None:
    # The page and the API appear to have the same origin: only the hostname differs.
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    answer = api.client.open(path, method=method, headers=headers, json=BODY if method == "POST" else None)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "untrusted_host")
    assert answer.content_type == "application/problem+json"
    assert api.has_taken_nothing()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
    ],
    ids=str,
)
def test_cross_origin_changes_are_rejected(api: Api, headers: dict[str, str]) -> None:
    kept = api.stored_task(task_id="kept")
    for method, path in (
        ("POST", "/v1/tasks"),
        ("POST", "/v1/tasks/kept/cancel"),
        ("POST", "/v1/tasks/kept/retry"),
        ("DELETE", "/v1/tasks/kept"),
    ):
        # A form may send this without a preflight request, and so may a script.
        answer = api.client.open(path, method=method, data='{"prompt": "x"}', headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "foreign_origin")
    assert api.store.all_tasks == (kept,)
    assert not api.queue.published


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_same_origin_pages_and_programs_are_accepted(api: Api, headers: dict[str, str]) -> None:
    assert api.client.post("/v1/tasks", json=BODY, headers=headers).status_code == 202


def test_any_host_name_is_accepted_where_credentials_are_required(api: Api) -> None:
    cloud: Flask = create_app(api.dependencies)
    headers = {"Host": "darkroom.example", "Origin": "https://darkroom.example"}
    assert cloud.test_client().post("/v1/tasks", json=BODY, headers=headers).status_code == 202
