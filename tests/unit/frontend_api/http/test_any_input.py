"""Any input yields a task or a problem, never a server error; a refused request leaves no data."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frontend_api.tasks.schemas import TaskSubmission
from tests.unit.frontend_api.conftest import Api

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=40)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*TaskSubmission.model_fields, "user_id"])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    """One for all examples: creating an application costs more than a request."""
    return Api(folder=tmp_path_factory.mktemp("page"))


def answered(api: Api, body: bytes, headers: dict[str, str]) -> None:
    before = len(api.store.all_tasks)
    answer = api.client.post("/v1/tasks", data=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code in (200, 202, 400, 401, 413, 422), answer.text
    json.loads(answer.data)
    taken = 1 if answer.status_code == 202 else 0
    assert len(api.store.all_tasks) == before + taken == len(api.queue.published)


@given(st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=5))
def test_any_json_object_gets_a_documented_response(api: Api, fields: dict[str, Any]) -> None:
    answered(api, json.dumps({"prompt": "a circle", **fields}).encode(), {})


@given(st.binary(max_size=60))
@example(b"-")
@example(b'{"prompt": "\\u0000"}')
@example(b'{"prompt": "a", "seed": 1E400}')
def test_any_bytes_get_a_documented_response(api: Api, body: bytes) -> None:
    answered(api, body, {})


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80))
def test_any_header_gets_a_documented_response(api: Api, value: str) -> None:
    answered(api, b'{"prompt": "a"}', {"Authorization": f"Bearer {value}", "Idempotency-Key": value})
