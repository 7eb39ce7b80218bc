"""Models, health, headers, documentation and the page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from common.domain.parameters import OutputFormat, Sampler
from common.settings import SharedSettings
from frontend_api.browser.package import WebPage
from frontend_api.browser.security_headers import page_policy
from frontend_api.http.api_doc import operation_of
from frontend_api.http.problems import PROBLEMS, Problem
from frontend_api.openapi import routes as documentation
from frontend_api.openapi.document import openapi_document
from frontend_api.public_address import PublicAddress
from frontend_api.settings import ApiSettings
from tests.unit.frontend_api.conftest import Api

DOCS = Path(__file__).parents[4] / "docs"
PAGES = [*sorted((DOCS / "api").glob("*.md")), DOCS / "operating" / "settings.md"]


def test_models_have_limits_and_no_source(api: Api) -> None:
    (model,) = api.client.get("/v1/models").get_json()["models"]
    assert model["limits"]["max_side"] == 512
    assert model["defaults"]["steps"] == 20
    assert "ddim" in model["samplers"]
    assert "source" not in model
    assert api.client.get("/v1/models/demo").get_json() == model
    assert api.client.get("/v1/models/none").get_json()["code"] == "model_not_found"


def test_readiness_names_each_dependency(api: Api) -> None:
    ready = api.client.get("/readyz")
    assert ready.status_code == 200
    assert [d["name"] for d in ready.get_json()["dependencies"]] == ["firestore", "pubsub"]
    assert all(d["latency_ms"] >= 0 for d in ready.get_json()["dependencies"])
    api.probes[1].reachable = False
    api.clock.advance(1)
    unready = api.client.get("/readyz")
    assert (unready.status_code, unready.get_json()["status"]) == (503, "unavailable")
    assert [d["reachable"] for d in unready.get_json()["dependencies"]] == [True, False]
    assert api.client.get("/healthz").status_code == 200


def test_readiness_probes_each_dependency_at_most_once_a_second(api: Api) -> None:
    for _ in range(5):
        assert api.client.get("/readyz").status_code == 200
    assert [probe.checks for probe in api.probes] == [1, 1]
    api.clock.advance(1)
    api.client.get("/readyz")
    assert [probe.checks for probe in api.probes] == [2, 2]


def test_health_responds_while_the_limiter_is_full(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=1)
    assert api.dependencies.http.enter("a caller").is_set()
    assert api.client.get("/healthz").status_code == 200
    assert api.client.get("/readyz").status_code == 200


def test_openapi_document_is_built_once_and_cached(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Flask] = []

    def counted(app: Flask, *, base_path: str) -> dict[str, Any]:
        built.append(app)
        return openapi_document(app, base_path=base_path)

    monkeypatch.setattr(documentation, "openapi_document", counted)
    first, second = (api.client.get("/openapi.json") for _ in range(2))
    assert first.data == second.data
    assert len(built) == 1
    assert first.headers["Cache-Control"] == "public, max-age=300"
    known = api.client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/tasks", "/v1/nothing", "/healthz", "/config.json"])
def test_every_response_has_security_headers(api: Api, path: str) -> None:
    headers = api.client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/tasks/", 404, "not_found"),
        ("PUT", "/v1/tasks", 405, "method_not_allowed"),
        ("GET", "/internal/rescue", 405, "method_not_allowed"),
        ("GET", "/assets/../app.py", 404, "not_found"),
        ("GET", "/assets/%2e%2e/index.html", 404, "not_found"),
        ("GET", "/docs/index.html", 404, "not_found"),
    ],
)
def test_unknown_paths_get_problem_documents(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = api.client.open(path, method=method)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.get_json()["code"] == code
    assert ("Allow" in answer.headers) == (status == 405)


def test_doubled_slashes_get_a_redirect_with_a_problem_document(api: Api) -> None:
    answer = api.client.get("/v1//tasks")
    assert (answer.status_code, answer.content_type) == (308, "application/problem+json")
    assert answer.headers["Location"] == "/v1/tasks"
    assert answer.get_json()["code"] == "moved"


def test_not_found_and_wrong_method_details_name_the_path(api: Api) -> None:
    assert api.client.get("/v1/taks").get_json()["detail"] == "no resource at /v1/taks"
    wrong_method = api.client.put("/v1/tasks")
    assert wrong_method.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    expected = "method PUT is not allowed for /v1/tasks; allowed: GET, HEAD, OPTIONS, POST"
    assert wrong_method.get_json()["detail"] == expected
    endless = api.client.get("/" + "x" * 5_000).get_json()["detail"]
    assert len(endless) < 200


def test_unexpected_error_reveals_no_detail(api: Api) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("the password is swordfish")

    api.store.get = broken  # type: ignore[method-assign,assignment]
    answer = api.client.get("/v1/tasks/x")
    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal_error")
    assert b"swordfish" not in answer.data


def test_openapi_document_is_valid_and_complete(api: Api) -> None:
    document = api.client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    validate(document)
    described = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith(("/v1", "/openai", "/internal")) or rule.rule in ("/healthz", "/readyz")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == {(path, verb) for path, verbs in document["paths"].items() for verb in verbs}


def test_nullable_enums_list_their_values(api: Api) -> None:
    document = openapi_document(api.app)
    for name, values in (("sampler", Sampler), ("output_format", OutputFormat)):
        shape = document["components"]["schemas"]["TaskSubmission"]["properties"][name]
        assert (shape["type"], shape["enum"]) == (["string", "null"], [*values, None])
    parameters = document["paths"]["/v1/tasks"]["get"]["parameters"]
    (status,) = [parameter["schema"] for parameter in parameters if parameter["name"] == "status"]
    assert status == {"$ref": "#/components/schemas/TaskStatus"}


def test_every_operation_has_a_listed_tag(api: Api) -> None:
    document = api.client.get("/openapi.json").get_json()
    used = {tag for path in document["paths"].values() for call in path.values() for tag in call["tags"]}
    assert sorted(used) == sorted(heading["name"] for heading in document["tags"])


def test_responses_match_the_document(api: Api) -> None:
    document = api.client.get("/openapi.json").get_json()
    task = api.completed_task()
    answers = {
        "TaskResponse": api.client.get(f"/v1/tasks/{task.id}"),
        "TaskPageResponse": api.client.get("/v1/tasks"),
        "ModelListResponse": api.client.get("/v1/models"),
        "ProblemDocument": api.submit(steps=0),
        "ReadyResponse": api.client.get("/readyz"),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(answer.get_json())


def test_problem_type_redirects_to_its_row_in_the_reference(api: Api) -> None:
    description = openapi_document(api.app)["info"]["description"]
    for code in PROBLEMS:
        kind = Problem(code=code, detail="x").body(trace_id=None)["type"]
        assert api.client.get(kind).headers["Location"] == f"/docs#?route=overview--{code}"
        assert f'<a id="{code}"></a>' in description
    assert api.client.get("/problems/nothing").headers["Location"] == "/docs#?route=overview--problems"


def test_every_route_problem_and_setting_is_in_the_documentation(api: Api) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    for path, verbs in openapi_document(api.app)["paths"].items():
        for verb in verbs:
            assert f"{verb.upper()} {path}" in text, f"{verb} {path}"
    for code, kind in PROBLEMS.items():
        assert f"| `{code}` | {kind.status} |" in text, code
    for rule in api.app.url_map.iter_rules():
        if operation_of(api.app.view_functions[rule.endpoint]) is None:
            shown = re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", rule.rule)
            assert f"`{shown}`" in text, shown
    for setting in ApiSettings.model_fields.keys() - SharedSettings.model_fields.keys():
        assert f"`DARKROOM_{setting.upper()}`" in text, setting


def test_every_field_parameter_and_header_is_in_the_documentation(api: Api) -> None:
    code = re.findall(r"```.*?```|`[^`]+`", "\n".join(page.read_text() for page in PAGES), re.DOTALL)
    documented = set(re.findall(r"[\w-]+", " ".join(code)))
    document = openapi_document(api.app)
    calls = [call for verbs in document["paths"].values() for call in verbs.values()]
    sent = {parameter["name"] for call in calls for parameter in call["parameters"]}
    answers = [answer for call in calls for answer in call["responses"].values()]
    headers = {name for answer in answers for name in answer.get("headers", ())}
    path_parameters = {"name", "extension", "index", "number", "letter_id", "key_id", "task_id"}
    fields = set(fields_of(document["components"]["schemas"]))
    assert (sent | headers | fields) - path_parameters <= documented


def fields_of(schema: Any) -> Iterator[str]:
    """Yield the names of all properties, at any depth."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from properties
        for inner in (*properties.values(), *(each for name, each in schema.items() if name != "properties")):
            yield from fields_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from fields_of(inner)


@pytest.mark.parametrize(
    ("path", "file"), [("/", "index.html"), ("/operator", "operator.html"), ("/docs", "docs.html")]
)
def test_page_is_served_as_built_with_a_policy_of_its_own_origin(api: Api, path: str, file: str) -> None:
    (api.folder / file).write_text("<title>darkroom</title>")
    page = api.client.get(path)
    assert (page.status_code, page.text) == (200, "<title>darkroom</title>")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/operator", "/docs"])
def test_page_policy_permits_only_what_the_page_uses(api: Api, path: str) -> None:
    policy = dict(
        directive.split(" ", 1)
        for directive in api.client.get(path).headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    if path == "/docs":  # its viewer renders with lit
        assert (policy["style-src"], policy["trusted-types"]) == (
            "'self' 'unsafe-inline'",
            "lit-html default",
        )
    else:
        assert (policy["style-src"], policy["trusted-types"]) == ("'self'", "'none'")


def test_policy_permits_signing_in_where_it_is_offered(tmp_path: Path) -> None:
    page = WebPage(
        folder=tmp_path,
        config={},
        connects_to=("https://firestore.googleapis.com",),
        images_from=("https://storage.googleapis.com",),
        signs_in_at="https://login.example.com",
    )
    policy = page_policy(page).split("; ")
    assert {
        "script-src 'self' https://apis.google.com",
        "frame-src https://login.example.com",
        "connect-src 'self' https://firestore.googleapis.com",
        "img-src 'self' data: blob: https://storage.googleapis.com",
    } < set(policy)
    assert "trusted-types" not in " ".join(policy)


@pytest.mark.parametrize(
    ("url", "header"),
    [("https://example.com/pictures/", "max-age=31536000"), ("http://example.com/", None), (None, None)],
)
def test_hosts_with_https_tell_browsers_to_use_nothing_else(
    tmp_path: Path, url: str | None, header: str | None
) -> None:
    address = PublicAddress() if url is None else PublicAddress.parse(url)
    api = Api(folder=tmp_path, address=address)
    for path in ("/", "/v1/models", "/v1/nothing"):
        assert api.client.get(path).headers.get("Strict-Transport-Security") == header


def test_assets_are_cached_and_the_config_names_the_project(api: Api) -> None:
    (api.folder / "assets").mkdir()
    (api.folder / "assets" / "index-abc.js").write_text("1")
    asset = api.client.get("/assets/index-abc.js")
    assert asset.status_code == 200
    assert "immutable" in asset.headers["Cache-Control"]
    assert api.client.get("/config.json").get_json() == {"project_id": "demo-unit"}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/t/task-1", "../#/t/task-1"),
        ("/t/task-1/2", "../../#/t/task-1/2"),
        ("/t/a%22%3Eb", "../#/t/a%22%3Eb"),
    ],
)
def test_link_to_a_picture_redirects_to_the_page_that_opens_it(api: Api, path: str, target: str) -> None:
    answer = api.client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, target)


@pytest.mark.parametrize("path", ["/", "/operator", "/docs"])
def test_page_response_is_404_with_a_link_to_the_document_when_not_built(api: Api, path: str) -> None:
    answer = api.client.get(path)
    assert answer.status_code == 404
    assert 'href="/openapi.json"' in answer.text
