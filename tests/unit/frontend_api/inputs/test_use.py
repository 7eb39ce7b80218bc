"""Inputs of tasks: kept by submissions and retries, deleted with their last task."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.errors import DependencyUnavailableError
from common.domain.failures import FailureCode
from common.domain.inputs import input_object_name
from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.models.traits import Input
from common.domain.task import Failure, Task
from common.ports import StaleTaskKind
from frontend_api.inputs.stored_input import StoredInput
from frontend_api.rescue.policy import RescuePolicy
from tests.factories import parameters
from tests.fakes.outage import unavailable
from tests.pictures import png
from tests.unit.frontend_api.conftest import Api, signed_in_as

WITH_PICTURES = ModelCatalog(
    models=(
        DEMO_MODEL.model_copy(
            update={
                "traits": DEMO_MODEL.traits.model_copy(
                    update={"inputs": (Input.TEXT, Input.IMAGE, Input.MASK)}
                )
            }
        ),
    )
)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(folder=tmp_path, catalog=WITH_PICTURES)


def uploaded(api: Api, shade: int = 0, **headers: str) -> str:
    picture_id: str = api.upload(png(shade=shade), headers=headers).get_json()["id"]
    return picture_id


def submitted(api: Api, **fields: Any) -> str:
    answer = api.submit(**fields)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.get_json()["id"]
    return task_id


def is_stored(api: Api, picture_id: str) -> bool:
    return input_object_name("local", picture_id) in api.inputs.contents


def deleted(api: Api, task_id: str) -> None:
    assert api.client.delete(f"/v1/tasks/{task_id}").status_code == 204


def test_submission_keeps_its_pictures_until_the_task_is_deleted(api: Api) -> None:
    image, mask = uploaded(api), uploaded(api, 1)
    task_id = submitted(api, image=image, mask_image=mask)
    assert api.client.get(f"/v1/tasks/{task_id}").get_json()["parameters"]["image"] == image
    # Waiting and expiry: 14 days until rescue abandons the task, then 30 days, then a day's tolerance.
    assert api.client.get(f"/v1/inputs/{image}").get_json()["expires_at"] == "2026-02-15T12:00:00Z"
    deleted(api, task_id)
    assert not is_stored(api, image)
    assert not is_stored(api, mask)


def test_picture_is_deleted_with_the_last_task_that_uses_it(api: Api) -> None:
    image = uploaded(api)
    first, second = (submitted(api, image=image) for _ in range(2))
    deleted(api, first)
    assert is_stored(api, image)
    deleted(api, second)
    assert not is_stored(api, image)


def test_pictures_of_expired_tasks_are_removed(api: Api) -> None:
    image = uploaded(api)
    task_id = submitted(api, image=image)
    api.store.update(task_id, lambda task: task.abandoned(Failure(code="x", message="x"), api.clock.now()))
    api.clock.advance(31 * 24 * 3_600)
    api.call_internal("remove-expired")
    assert not api.store.all_tasks
    assert not is_stored(api, image)


def test_used_picture_cannot_be_deleted(api: Api) -> None:
    image = uploaded(api)
    task_id = submitted(api, image=image)
    answer = api.client.delete(f"/v1/inputs/{image}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "input_in_use")
    assert api.inputs.get(input_object_name("local", image)).is_kept  # for the task, which still needs it
    deleted(api, task_id)
    assert api.client.delete(f"/v1/inputs/{image}").status_code == 404


@pytest.mark.parametrize("endpoint", ["/v1/tasks", "/v1/tasks:estimate"])
def test_unknown_and_foreign_pictures_are_refused_with_their_pointers(api: Api, endpoint: str) -> None:
    bobs = uploaded(api, 1, **signed_in_as("bob"))
    body = {"prompt": "a circle", "image": "0" * 64, "mask_image": bobs}
    answer = api.client.post(endpoint, json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/image", "/mask_image"]
    assert api.has_taken_nothing()


def test_batch_refuses_only_the_tasks_with_unknown_pictures(api: Api) -> None:
    image = uploaded(api)
    items = [{"prompt": "a", "image": image}, {"prompt": "b", "image": "0" * 64}, {"prompt": "c"}]
    answer = api.client.post("/v1/tasks:batch", json={"tasks": items}).get_json()
    assert [item["status"] for item in answer["results"]] == [202, 422, 202]
    assert len(api.queue.published) == 2
    assert api.inputs.get(input_object_name("local", image)).is_kept


def test_retry_keeps_the_picture_and_names_a_missing_one(api: Api) -> None:
    image = uploaded(api)
    task_id = submitted(api, image=image)
    api.client.post(f"/v1/tasks/{task_id}/cancel")
    api.clock.advance(29 * 24 * 3_600)
    assert api.client.post(f"/v1/tasks/{task_id}/retry").status_code == 202
    assert api.client.get(f"/v1/inputs/{image}").get_json()["expires_at"] == "2026-03-16T12:00:00Z"
    api.client.post(f"/v1/tasks/{task_id}/cancel")
    api.inputs.inputs.clear()
    answer = api.client.post(f"/v1/tasks/{task_id}/retry")
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/image")


def test_replay_returns_the_task_although_its_picture_has_expired(api: Api) -> None:
    image, key = uploaded(api), {"Idempotency-Key": "order-1815"}
    body = {"prompt": "a circle", "image": image}
    first = api.client.post("/v1/tasks", json=body, headers=key)
    api.inputs.inputs.clear()
    second = api.client.post("/v1/tasks", json=body, headers=key)
    assert (first.status_code, second.status_code) == (202, 200)


@pytest.mark.parametrize("is_batch", [False, True])
def test_rescue_keeps_the_pictures_of_a_task_before_it_publishes_it(api: Api, is_batch: bool) -> None:
    """The bucket became unavailable between the check of the picture and its use."""
    image, key = uploaded(api), {"Idempotency-Key": "order-1815"}
    name = input_object_name("local", image)
    body = {"prompt": "a circle", "image": image}
    api.clock.advance(23 * 3_600)

    def send() -> TestResponse:
        if is_batch:
            return api.client.post("/v1/tasks:batch", json={"tasks": [{**body, "idempotency_key": "x"}]})
        return api.client.post("/v1/tasks", json=body, headers=key)

    with pytest.MonkeyPatch.context() as storage:
        storage.setattr(api.inputs, "keep", unavailable("storage"))
        send()
        api.clock.advance(60)
        assert api.rescue().status_code == 503
        assert not api.queue.published
        assert not api.inputs.get(name).is_kept
    assert api.rescue().get_json()["published"] == 1
    assert api.inputs.get(name).is_kept
    send()
    assert len(api.queue.published) == 1


def without_bucket_for(
    api: Api, monkeypatch: pytest.MonkeyPatch, user_ids: tuple[str, ...]
) -> list[StoredInput]:
    """Let the bucket refuse to keep these users' pictures after ten seconds, and return those that were tried."""
    refused: list[StoredInput] = []
    keep = api.inputs.keep

    def keep_or_fail(stored: StoredInput, **changes: Any) -> StoredInput:
        if stored.object_name.startswith(tuple(input_object_name(user_id, "") for user_id in user_ids)):
            refused.append(stored)
            api.clock.advance(10)
            raise DependencyUnavailableError("storage")
        return keep(stored, **changes)

    monkeypatch.setattr(api.inputs, "keep", keep_or_fail)
    return refused


def never_enqueued(api: Api, user_id: str, *, shade: int | None = None) -> Task:
    """Store a task of which no message was confirmed, with a picture if it has a shade."""
    image = {} if shade is None else {"image": uploaded(api, shade, **signed_in_as(user_id))}
    name = f"{user_id}-{'text' if shade is None else shade}"
    return api.stored_task(task_id=name, user_id=user_id, parameters=parameters(**image))


def test_refused_pictures_leave_the_pages_of_a_run_to_other_tasks(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused tasks stay the oldest, in each run."""
    policy, image = RescuePolicy(), uploaded(api, 0, **signed_in_as("eve"))
    for number in range(policy.page_size * policy.max_pages):
        api.stored_task(task_id=f"eve-{number}", user_id="eve", parameters=parameters(image=image))
    api.clock.advance(1)
    waiting = never_enqueued(api, "bob")
    api.clock.advance(60)
    without_bucket_for(api, monkeypatch, ("eve",))
    assert api.rescue().status_code == 503
    assert [task.id for task in api.queue.published] == [waiting.id]


def test_rescue_leaves_only_the_pictures_of_a_caller_whose_picture_cannot_be_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try takes seconds. Cloud Storage refuses frequent changes of one object."""
    for shade in (0, 1, None):
        never_enqueued(api, "eve", shade=shade)
    api.clock.advance(1)
    never_enqueued(api, "bob", shade=2)
    api.clock.advance(60)
    refused = without_bucket_for(api, monkeypatch, ("eve",))
    assert (api.rescue().status_code, len(refused)) == (200, 1)
    assert [task.id for task in api.queue.published] == ["eve-text", "bob-2"]
    monkeypatch.undo()
    assert api.rescue().get_json()["published"] == 2


def test_rescue_reports_an_outage_of_the_bucket_after_it_has_done_all_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = ("ann", "ben", "cem", "dan")
    for user_id in callers:
        never_enqueued(api, user_id, shade=0)
    never_enqueued(api, "eve")
    api.stored_task(task_id="overdue", start_within=timedelta(seconds=1))
    api.events.failures_left = 1
    api.client.post(f"/v1/tasks/{submitted(api)}/cancel")
    api.clock.advance(60)
    refused = without_bucket_for(api, monkeypatch, callers)
    assert (api.rescue().status_code, len(refused)) == (503, 3)
    assert api.queue.published[-1].id == "eve-text"
    assert api.stored("overdue").failure == FailureCode.DEADLINE_EXCEEDED.failure()
    assert len(api.events.events) == 2
    assert not any(task.event_pending_since for task in api.store.all_tasks)


def test_callers_whose_pictures_are_refused_do_not_stop_the_rescue_of_others(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They change their pictures all the time. Each run has time for three refusals."""
    refusing = ("ann", "ben", "cem", "dee", "eve")
    for user_id in (*refusing, "fay"):
        never_enqueued(api, user_id, shade=0)
        api.clock.advance(1)
    api.clock.advance(60)
    refused = without_bucket_for(api, monkeypatch, refusing)
    runs = 0
    while not api.queue.published:
        runs += 1
        assert runs < 200  # half of the runs try fay
        api.rescue()
        assert len(refused) <= 3 * runs
    assert [task.id for task in api.queue.published] == ["fay-0"]
    monkeypatch.undo()
    assert api.rescue().get_json()["published"] == 5


@pytest.fixture
def refused_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a picture of ann's after a run in which the bucket refused to keep it."""
    task = never_enqueued(api, "ann", shade=0)
    api.clock.advance(60)
    with monkeypatch.context() as storage:
        without_bucket_for(api, storage, ("ann",))
        assert api.rescue().status_code == 503
    api.store.delete_unchanged(task)
    return str(task.parameters.image)


def test_outage_of_the_event_topic_does_not_stop_the_rescue_of_pictures(api: Api, refused_once: str) -> None:
    api.stored_task(task_id="ann", user_id="ann", parameters=parameters(image=refused_once))
    task_id = submitted(api)
    api.events.failures_left = 1_000
    api.client.post(f"/v1/tasks/{task_id}/cancel")
    api.clock.advance(60)
    assert api.rescue().status_code == 503
    assert api.queue.published[-1].id == "ann"


def test_tasks_with_pictures_are_abandoned_although_pubsub_is_unavailable(
    api: Api, refused_once: str
) -> None:
    api.stored_task(
        task_id="overdue",
        user_id="ann",
        parameters=parameters(image=refused_once),
        start_within=timedelta(seconds=1),
    )
    api.stored_task(task_id="other", user_id="bob")
    api.clock.advance(60)
    api.queue.unavailable = True
    assert api.rescue().status_code == 503
    assert api.stored("overdue").failure == FailureCode.DEADLINE_EXCEEDED.failure()


def test_rescue_of_many_pictures_keeps_its_lock(api: Api, refused_once: str) -> None:
    """It renews the lock after each page, which takes 40 seconds here."""
    for number in range(500):
        api.stored_task(task_id=f"ann-{number}", user_id="ann", parameters=parameters(image=refused_once))
    api.clock.advance(60)
    publish = api.queue.publish
    others: set[bool] = set()

    def slow_publish(*tasks: Task) -> None:
        api.clock.advance(0.2)
        others.add(api.rescue_lock.acquire("another", now=api.clock.now(), ttl=timedelta(seconds=60)) is None)
        publish(*tasks)

    api.queue.publish = slow_publish  # type: ignore[method-assign]
    assert api.rescue().get_json()["published"] == 500
    assert others == {True}


def test_rescue_renews_its_lock_between_pages_that_it_defers(api: Api, refused_once: str) -> None:
    """It reads a page in 40 seconds here, and publishes its tasks after all pages."""
    for number in range(600):
        api.stored_task(task_id=f"ann-{number}", user_id="ann", parameters=parameters(image=refused_once))
    api.clock.advance(60)
    list_unattended = api.store.list_unattended
    others: list[bool] = []

    def slow_list(*kind: StaleTaskKind, **options: Any) -> tuple[Task, ...]:
        if page := list_unattended(*kind, **options):
            api.clock.advance(40)
            lock = api.rescue_lock.acquire("another", now=api.clock.now(), ttl=timedelta(seconds=60))
            others.append(lock is None)
        return page

    api.store.list_unattended = slow_list  # type: ignore[method-assign]
    assert api.rescue().get_json()["published"] == 600
    assert others == [True] * 3


def test_task_of_two_kinds_is_published_once_with_its_picture(api: Api) -> None:
    """Its deadline passed after it had started, and its message is lost."""
    image = uploaded(api)
    held = api.claimed_task(
        task_id="held", parameters=parameters(image=image), start_within=timedelta(seconds=1)
    )
    assert held.claim is not None
    api.store.update("held", lambda task: task.handed_back(held.claim, api.clock.now()))  # type: ignore[arg-type]
    api.clock.advance(3_700)
    assert api.rescue().get_json()["published"] == 1
    assert [task.id for task in api.queue.published] == ["held"]


def test_batch_publishes_its_tasks_without_pictures_when_pictures_cannot_be_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [{"prompt": "a", "image": uploaded(api)}, {"prompt": "b"}]
    without_bucket_for(api, monkeypatch, ("local",))
    results = api.client.post("/v1/tasks:batch", json={"tasks": items}).get_json()["results"]
    assert [result["status"] for result in results] == [503, 202]
    assert [task.parameters.prompt for task in api.queue.published] == ["b"]


@pytest.fixture
def lost_pictures(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pictures of new tasks be deleted between their check and their use."""
    get = api.inputs.get

    def get_of_new_tasks(object_name: str) -> StoredInput:
        if api.store.all_tasks:
            api.inputs.inputs.clear()
        return get(object_name)

    monkeypatch.setattr(api.inputs, "get", get_of_new_tasks)


@pytest.mark.usefixtures("lost_pictures")
def test_batch_stores_no_refused_task_when_pubsub_is_unavailable(api: Api) -> None:
    items = [{"prompt": "a", "image": uploaded(api)}, {"prompt": "b"}]
    api.queue.unavailable = True
    results = api.client.post("/v1/tasks:batch", json={"tasks": items}).get_json()["results"]
    assert [result["status"] for result in results] == [422, 503]
    assert [task.id for task in api.store.all_tasks] == [results[1]["task_id"]]


@pytest.fixture
def deletions(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let deletions of tasks fail, and return the ids of the tasks."""
    tried: list[str] = []

    def fail(task: Task) -> bool:
        tried.append(task.id)
        raise DependencyUnavailableError("firestore")

    monkeypatch.setattr(api.store, "delete_unchanged", fail)
    return tried


@pytest.mark.usefixtures("lost_pictures")
def test_refused_task_that_may_still_be_stored_is_named(api: Api, deletions: list[str]) -> None:
    answer = api.submit(image=uploaded(api))
    assert (answer.status_code, [answer.get_json()["task_id"]]) == (503, deletions)


@pytest.mark.usefixtures("lost_pictures")
def test_batch_names_refused_tasks_that_may_still_be_stored(api: Api, deletions: list[str]) -> None:
    pictures = [uploaded(api, shade) for shade in range(2)]
    items = [{"prompt": "a"}, *({"prompt": "b", "image": picture} for picture in pictures)]
    results = api.client.post("/v1/tasks:batch", json={"tasks": items}).get_json()["results"]
    assert [result["status"] for result in results] == [202, 503, 503]
    assert [result["task_id"] for result in results] == [task.id for task in api.store.all_tasks]
    assert deletions == [results[1]["task_id"]]  # the response does not wait for each


@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize("seconds", [0, 31])
def test_request_and_its_replay_agree_on_a_task_whose_picture_is_lost(
    api: Api, monkeypatch: pytest.MonkeyPatch, seconds: int, is_batch: bool
) -> None:
    """The replay arrives while the first request, which may take long, keeps the picture."""
    body, key = {"prompt": "a", "image": uploaded(api)}, "order-1"

    def send() -> int:
        if not is_batch:
            headers = {"Idempotency-Key": key}
            return api.app.test_client().post("/v1/tasks", json=body, headers=headers).status_code
        items = [{**body, "idempotency_key": key}]
        answer = api.app.test_client().post("/v1/tasks:batch", json={"tasks": items}).get_json()
        return int(answer["results"][0]["status"])

    get, replay = api.inputs.get, []

    def get_after_a_replay(object_name: str) -> StoredInput:
        if api.store.all_tasks:
            monkeypatch.undo()
            api.inputs.inputs.clear()
            api.clock.advance(seconds)
            replay.append(send())
        return get(object_name)

    monkeypatch.setattr(api.inputs, "get", get_after_a_replay)
    if seconds == 0:
        assert (send(), replay, len(api.store.all_tasks)) == (422, [503], 0)
    else:
        assert (send(), replay, len(api.store.all_tasks)) == (503, [200], 1)
    assert len(api.queue.published) == len(api.store.all_tasks)


@pytest.mark.parametrize("is_batch", [False, True])
def test_replay_publishes_the_stored_task_although_its_picture_is_lost(api: Api, is_batch: bool) -> None:
    """It was not published at first. A refusal would not delete it."""
    body, key = {"prompt": "a", "image": uploaded(api)}, "order-1"

    def send() -> list[int]:
        if not is_batch:
            headers = {"Idempotency-Key": key}
            return [api.client.post("/v1/tasks", json=body, headers=headers).status_code]
        items = [{**body, "idempotency_key": key}] * 2
        answer = api.client.post("/v1/tasks:batch", json={"tasks": items})
        return [result["status"] for result in answer.get_json()["results"]]

    api.queue.unavailable = True
    assert set(send()) == {503}
    api.queue.unavailable = False
    api.inputs.inputs.clear()
    assert set(send()) == {503}  # the first request may be about to refuse it
    assert not api.queue.published
    api.clock.advance(31)
    assert set(send()) == {200}
    assert len(api.queue.published) == 1


def test_rescue_publishes_a_task_whose_picture_is_lost(api: Api) -> None:
    """A worker then fails it with the reason."""
    submitted(api, image=uploaded(api))
    api.inputs.inputs.clear()
    api.clock.advance(3_601)
    assert api.rescue().get_json()["published"] == 1


def test_deletion_succeeds_without_storage_for_the_inputs(api: Api) -> None:
    task_id = submitted(api, image=uploaded(api))
    api.inputs.unavailable = True
    deleted(api, task_id)
    assert api.client.get(f"/v1/tasks/{task_id}").status_code == 404


@pytest.mark.parametrize("moment", ["create", "get", "keep"])
def test_submission_and_deletion_of_the_last_task_never_lose_a_used_picture(
    api: Api, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task is deleted between any two steps of a submission that uses the same picture."""
    image = uploaded(api)
    earlier = submitted(api, image=image)
    target: Any = api.store if moment == "create" else api.inputs
    original: Callable[..., Any] = getattr(target, moment)

    def after_a_deletion(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        deleted(api, earlier)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, moment, after_a_deletion)
    answer = api.submit(image=image)
    monkeypatch.undo()
    assert answer.status_code in (202, 422)
    assert (answer.status_code == 202) == is_stored(api, image) == bool(api.store.all_tasks)


@pytest.mark.parametrize("step", ["withdraw", "delete_unchanged"])
def test_submission_between_the_steps_of_a_deletion_keeps_its_picture(
    api: Api, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = uploaded(api)
    earlier = submitted(api, image=image)
    original: Callable[..., Any] = getattr(api.inputs, step)

    def after_a_submission(*args: Any) -> Any:
        monkeypatch.undo()
        submitted(api, image=image)
        return original(*args)

    monkeypatch.setattr(api.inputs, step, after_a_submission)
    deleted(api, earlier)
    assert len(api.store.all_tasks) == 1
    assert is_stored(api, image)
