"""The warnings to callers when a request is accepted but not obeyed in full."""

from typing import Any

from common.domain.task_records import TaskWarning
from common.domain.task_warnings import warned
from tests.unit.frontend_api.conftest import Api

LONG = "word " * 31
TRUNCATED = {"code": "prompt_truncated", "pointer": "/prompt"}


def brief(warnings: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"code": warning["code"], "pointer": warning["pointer"]} for warning in warnings]


def estimated(api: Api, **body: Any) -> Any:
    return api.client.post("/v1/tasks:estimate", json={"prompt": "a large red circle", **body}).get_json()


def test_submission_task_and_list_name_the_truncated_prompt(api: Api) -> None:
    answer = api.submit(prompt=LONG)
    assert answer.status_code == 202
    task = answer.get_json()
    assert brief(task["warnings"]) == [TRUNCATED]
    assert "has 31 tokens and the model reads 30" in task["warnings"][0]["detail"]
    assert task["warnings"][0]["tokens"] == 31
    assert api.client.get(f"/v1/tasks/{task['id']}").get_json()["warnings"] == task["warnings"]
    assert api.client.get("/v1/tasks").get_json()["tasks"][0]["warnings"] == task["warnings"]
    assert [warning.code for warning in api.stored(task["id"]).warnings] == ["prompt_truncated"]


def test_task_that_is_obeyed_in_all_has_no_warning(api: Api) -> None:
    assert api.submit(negative_prompt="blue", guidance_scale=2.5).get_json()["warnings"] == []


def test_estimate_returns_the_warnings_of_the_submission(api: Api) -> None:
    api.submit()  # an estimate needs a workload
    body = {"prompt": LONG, "negative_prompt": "blue", "guidance_scale": 1, "seed": 2**32 + 7}
    warnings = estimated(api, **body)["warnings"]
    assert [warning["code"] for warning in warnings] == [
        "prompt_truncated",
        "negative_prompt_without_effect",
        "seed_above_32_bits",
    ]
    assert warnings == api.submit(**body).get_json()["warnings"]
    assert estimated(api)["warnings"] == []


def test_each_entry_of_a_batch_has_its_own_warnings(api: Api) -> None:
    tasks = [{"prompt": LONG}, {"prompt": "a red circle"}]
    results = api.client.post("/v1/tasks:batch", json={"tasks": tasks}).get_json()["results"]
    assert [brief(result["task"]["warnings"]) for result in results] == [[TRUNCATED], []]


def test_replay_has_the_warnings_of_the_stored_task(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1815"}
    first, again = (
        api.client.post("/v1/tasks", json={"prompt": LONG}, headers=headers).get_json() for _ in range(2)
    )
    assert again["warnings"] == first["warnings"] != []


def test_unreadable_tokenizer_leaves_truncation_to_the_worker(api: Api) -> None:
    api.tokenizers.unreadable.add("demo")
    assert api.submit(prompt=LONG).get_json()["warnings"] == []


def test_models_state_how_many_tokens_they_read(api: Api) -> None:
    for model in (
        api.client.get("/v1/models/demo").get_json(),
        *api.client.get("/v1/models").get_json()["models"],
    ):
        assert model["max_prompt_tokens"] == 30
        assert "tokenizer" not in model


def test_later_warning_changes_the_etag(api: Api) -> None:
    task = api.stored_task()
    etag = api.client.get(f"/v1/tasks/{task.id}").headers["ETag"]
    exact = TaskWarning(code="prompt_truncated", pointer="/prompt", detail="31 tokens, 30 are read.")
    api.store.update(task.id, lambda stored: warned(stored, (exact,)))
    answer = api.client.get(f"/v1/tasks/{task.id}", headers={"If-None-Match": etag})
    assert (answer.status_code, brief(answer.get_json()["warnings"])) == (200, [TRUNCATED])
