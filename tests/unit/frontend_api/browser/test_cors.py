"""Pages of other origins that the settings list."""

from pathlib import Path

import pytest

from tests.unit.frontend_api.conftest import Api

LISTED, OTHER = "https://app.example", "https://evil.example"
BODY = {"prompt": "a large red circle"}


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(folder=tmp_path, cors_origins=(LISTED, "http://localhost:3000"))


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-lang",
    }


@pytest.mark.parametrize("path", ["/v1/tasks", "/openai/v1/images/generations", "/v1/tasks/t/events"])
@pytest.mark.parametrize("origin", [LISTED, "http://localhost:3000"])
def test_preflight_is_answered_before_authentication(api: Api, path: str, origin: str) -> None:
    headers = {**preflight(origin), "Authorization": "Bearer drk_invalid"}
    answer = api.client.options(path, headers=headers)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-lang"
    assert {"POST", "DELETE"} < set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Origin", "Access-Control-Request-Headers"} <= set(answer.vary)


@pytest.mark.parametrize("origin", [OTHER, "https://app.example.evil", "null", "http://app.example", ""])
def test_unlisted_origin_gets_no_headers(api: Api, origin: str) -> None:
    answers = [
        api.client.options("/v1/tasks", headers=preflight(origin)),
        api.client.get("/v1/models", headers={"Origin": origin}),
    ]
    assert [answer.status_code for answer in answers] == [204, 200]
    for answer in answers:
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" in answer.vary


def test_page_of_a_listed_origin_submits_a_task(api: Api) -> None:
    headers = {"Origin": LISTED, "Sec-Fetch-Site": "cross-site"}
    answer = api.client.post("/v1/tasks", json=BODY, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = api.client.post("/v1/tasks", json=BODY, headers=headers | {"Origin": OTHER})
    assert (refused.status_code, "Access-Control-Allow-Origin" in refused.headers) == (403, False)


def test_scripts_may_read_every_header_and_problem(api: Api) -> None:
    answer = api.client.post("/v1/tasks", json={}, headers={"Origin": LISTED})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (422, LISTED)
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Location", "Retry-After", "RateLimit", "X-Trace-Id"} < set(exposed)
    assert exposed == sorted(exposed, key=str.lower)


def test_api_without_listed_origins_sends_no_headers(tmp_path: Path) -> None:
    api = Api(folder=tmp_path)
    answer = api.client.options("/v1/tasks", headers=preflight(LISTED))
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
