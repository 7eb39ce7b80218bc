"""GET tasks, lists, results and images: only the caller's own."""

import hashlib
from datetime import timedelta

import pytest

from common.domain.parameters import GenerationParameters
from frontend_api.tasks.schemas import TaskSubmission
from tests.unit.frontend_api.conftest import PNG, Api


@pytest.mark.parametrize("task_id", ["..", "__all__", "x" * 2_000, "a b", "%00", "%2e%2e", "tasks%2Fx", "é"])
def test_malformed_task_id_is_not_found(api: Api, task_id: str) -> None:
    answer = api.client.get(f"/v1/tasks/{task_id}")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_all_parameters_of_a_task_but_its_models_traits_can_be_submitted() -> None:
    """Clients remove these two: TRAITS in clients/web/src/client.ts."""
    stated, accepted = set(GenerationParameters.model_fields), set(TaskSubmission.model_fields)
    assert stated - accepted == {"guidance", "guidance_off_at"}


def test_read_returns_304_when_the_etag_matches(api: Api) -> None:
    task = api.stored_task()
    first = api.client.get(f"/v1/tasks/{task.id}")
    unchanged = {"If-None-Match": first.headers["ETag"]}
    second = api.client.get(f"/v1/tasks/{task.id}", headers=unchanged)
    assert (first.status_code, second.status_code, second.data) == (200, 304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    third = api.client.get(f"/v1/tasks/{task.id}", headers=unchanged)
    assert (third.status_code, third.get_json()["status"]) == (200, "cancelled")


def test_no_cache_stores_a_task_whose_estimate_its_etag_does_not_cover(api: Api) -> None:
    """A browser revalidates a stored response by itself, and would show the first estimate for ever."""
    task = api.stored_task()
    answer = api.client.get(f"/v1/tasks/{task.id}")
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_task_shows_its_attempts(api: Api) -> None:
    task = api.completed_task()
    began = task.created_at.isoformat().replace("+00:00", "Z")
    assert api.client.get(f"/v1/tasks/{task.id}").get_json()["history"] == [
        {
            "attempt": 1,
            "worker_id": "worker-1",
            "ending": "completed",
            "started_at": began,
            "ended_at": began,
            "gpu_seconds": 0.0,
        }
    ]


def test_finished_task_shows_its_images_and_times(api: Api) -> None:
    task = api.completed_task()
    body = api.client.get(f"/v1/tasks/{task.id}").get_json()
    assert body["images"] == [
        {
            "index": 0, "url": f"/v1/tasks/{task.id}/images/0", "url_expires_at": None, "width": 256,
            "thumbnail_url": f"/v1/tasks/{task.id}/images/0/thumbnail",
            "height": 256, "seed": 12345, "seed_text": "12345", "content_type": "image/png", "size_bytes": len(PNG),
            "sha256": hashlib.sha256(PNG).hexdigest(), "provenance": None,
        }
    ]  # fmt: skip
    assert body["metrics"]["queue_seconds"] == 0.0


def test_task_carries_signed_links_and_its_etag_changes_with_them(api: Api) -> None:
    task = api.completed_task()
    api.links.can_sign = True
    first = api.client.get(f"/v1/tasks/{task.id}")
    assert first.get_json()["images"][0]["url"].startswith("https://storage.test/")
    assert first.get_json()["images"][0]["url_expires_at"] is not None
    api.links.expires_at = api.links.expires_at.replace(year=2027)
    second = api.client.get(f"/v1/tasks/{task.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200


def test_result_is_202_until_the_task_is_finished(api: Api) -> None:
    task = api.stored_task()
    pending = api.client.get(f"/v1/results/{task.id}")
    assert (pending.status_code, pending.get_json()["status"]) == (202, "queued")
    assert int(pending.headers["Retry-After"]) >= 1
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert api.client.get(f"/v1/results/{task.id}").status_code == 200


def test_list_returns_the_callers_tasks_in_pages_newest_first(api: Api) -> None:
    ids = []
    for number in range(5):
        api.clock.advance(1)
        ids.append(api.stored_task(task_id=f"task-{number}").id)
    api.stored_task(task_id="task-of-ada", user_id="ada")
    seen: list[str] = []
    token: str | None = ""
    while token is not None:
        page = api.client.get(f"/v1/tasks?page_size=2{f'&page_token={token}' if token else ''}").get_json()
        assert len(page["tasks"]) <= 2
        seen += [task["id"] for task in page["tasks"]]
        token = page["next_page_token"]
    assert seen == ids[::-1]


def test_list_filters_by_status_and_model(api: Api) -> None:
    api.stored_task(task_id="waiting")
    api.completed_task(task_id="done")
    page = api.client.get("/v1/tasks?status=completed&model=demo").get_json()
    assert [task["id"] for task in page["tasks"]] == ["done"]
    assert api.client.get("/v1/tasks?model=other").get_json() == {"tasks": [], "next_page_token": None}


def test_list_filters_by_label_and_time(api: Api) -> None:
    for number in range(3):
        now = api.clock.now() + timedelta(minutes=number)
        api.stored_task(task_id=f"task-{number}", labels={"set": f"{number % 2}=x"}, now=now)

    def ids(**selected: str) -> list[str]:
        page = api.client.get("/v1/tasks", query_string=selected).get_json()
        return [task["id"] for task in page["tasks"]]

    middle = api.stored("task-1").created_at.isoformat()
    assert ids(label="set=0=x") == ["task-2", "task-0"]
    assert ids(label="set=0=x", created_after=middle) == ["task-2"]
    assert ids(created_before=middle) == ["task-0"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("status=done", "status"),
        ("label=team", "label"),
        ("label=Team=a", "label"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-01T12:00:00", "created_before"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=many", "page_size"),
        ("page_token=nonsense", "page_token"),
        ("page_token=" + "x" * 501, "page_token"),
        ("order=up", "order"),
        ("page_size=1&page_size=2", "page_size"),
        ("model=%00", "model"),
    ],
)
def test_invalid_query_is_refused_with_its_parameter(api: Api, query: str, parameter: str) -> None:
    answer = api.client.get(f"/v1/tasks?{query}")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.get_json()["errors"]] == [parameter]


def test_image_is_sent_with_its_digest_as_etag(api: Api) -> None:
    task = api.completed_task()
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0")
    assert (answer.status_code, answer.data, answer.content_type) == (200, PNG, "image/png")
    assert answer.headers["ETag"] == f'"{hashlib.sha256(PNG).hexdigest()}"'
    assert "private" in answer.headers["Cache-Control"]
    assert "immutable" in answer.headers["Cache-Control"]
    api.images.unavailable = True  # a 304 needs no bucket
    again = api.client.get(f"/v1/tasks/{task.id}/images/0", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_image_range_is_sent(api: Api) -> None:
    task = api.completed_task()
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0", headers={"Range": "bytes=1-3"})
    assert (answer.status_code, answer.data) == (206, PNG[1:4])


@pytest.mark.parametrize("wanted", ["bytes=0-1,3-4", "pages=1-2", "bytes=abc", "bytes=3-1"])
def test_image_is_sent_whole_when_the_range_is_not_supported(api: Api, wanted: str) -> None:
    task = api.completed_task()
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0", headers={"Range": wanted})
    assert (answer.status_code, answer.data) == (200, PNG)
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("wanted", ["bytes=99999999-", f"bytes={len(PNG)}-"])
def test_range_beyond_the_image_is_refused_with_its_length(api: Api, wanted: str) -> None:
    task = api.completed_task()
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0", headers={"Range": wanted})
    assert (answer.status_code, answer.get_json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(PNG)}"


@pytest.mark.parametrize(("name", "status"), [("0.png", 200), ("0.jpg", 404), ("0.", 404), ("1.png", 404)])
def test_image_has_a_file_name_of_its_format(api: Api, name: str, status: int) -> None:
    task = api.completed_task()
    assert api.client.get(f"/v1/tasks/{task.id}/images/{name}").status_code == status


def test_image_is_an_uncached_redirect_when_links_are_signed(api: Api) -> None:
    task = api.completed_task()
    api.links.can_sign = True
    answer = api.client.get(f"/v1/tasks/{task.id}/images/0")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("https://storage.test/tasks/")
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("index", ["1", "99999999999999999999", "-1", "x"])
def test_missing_image_is_not_found(api: Api, index: str) -> None:
    task = api.completed_task()
    assert api.client.get(f"/v1/tasks/{task.id}/images/{index}").status_code == 404


def test_image_reports_a_deleted_object_and_an_unreachable_bucket(api: Api) -> None:
    task = api.completed_task()
    api.images.objects.clear()
    assert api.client.get(f"/v1/tasks/{task.id}/images/0").get_json()["code"] == "image_not_found"
    api.images.unavailable = True
    assert api.client.get(f"/v1/tasks/{task.id}/images/0").status_code == 503
