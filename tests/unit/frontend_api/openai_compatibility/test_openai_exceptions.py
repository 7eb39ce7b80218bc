"""The exceptions that the official `openai` package raises, over real HTTP."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from common.domain.failures import FailureCode
from common.domain.task import Task
from frontend_api.quotas.limits import QuotaLimits
from tests.factories import claim_of
from tests.unit.darkroom.conftest import served
from tests.unit.frontend_api.conftest import Api

PROMPT = "a large red circle"


@contextmanager
def client_of(api: Api, *, api_key: str = "local", max_retries: int = 0) -> Iterator[openai.OpenAI]:
    with (
        contextmanager(served)(api.app) as url,
        openai.OpenAI(base_url=f"{url}/openai/v1", api_key=api_key, max_retries=max_retries) as client,
    ):
        yield client


def raised_after(api: Api, client: openai.OpenAI, then: Callable[[Task], Any], **body: Any) -> Exception:
    """Return the exception of a generation; `then` gets its task while it waits."""
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(client.images.generate, prompt=PROMPT, **body)
        assert api.changes.begun.acquire(timeout=60)
        (task,) = api.store.all_tasks
        then(task)
        error = made.exception(10)
    assert isinstance(error, Exception)
    return error


def failing(api: Api, code: FailureCode) -> Callable[[Task], Task]:
    def fail(task: Task) -> Task:
        api.claim(task)
        return api.store.update(task.id, lambda t: t.failed(claim_of(t), code.failure(), api.clock.now()))

    return fail


@pytest.mark.parametrize(
    ("body", "kind", "code", "param"),
    [
        ({"extra_body": {"sharpness": 3}}, openai.BadRequestError, "parameters_rejected", "sharpness"),
        ({"size": "1024x1024"}, openai.BadRequestError, "parameters_rejected", "size"),
        ({"background": "transparent"}, openai.BadRequestError, "parameters_rejected", "background"),
        ({"model": "gpt-image-2"}, openai.NotFoundError, "model_not_found", "model"),
    ],
)
def test_rejection_raises_an_exception_that_names_the_field(
    api: Api, body: dict[str, Any], kind: type[openai.APIStatusError], code: str, param: str
) -> None:
    with client_of(api) as client, pytest.raises(kind) as raised:
        client.images.generate(prompt=PROMPT, **body)
    assert (raised.value.code, raised.value.param) == (code, param)


def test_unknown_key_is_an_authentication_error(api: Api) -> None:
    with client_of(api, api_key="drk_wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_key_without_the_scope_is_a_permission_denied_error(api: Api) -> None:
    made = api.client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).get_json()
    with client_of(api, api_key=made["key"]) as client:
        assert [model.id for model in client.models.list()] == ["demo"]
        with pytest.raises(openai.PermissionDeniedError):
            client.images.generate(prompt=PROMPT)


def test_quota_is_a_rate_limit_error(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, quota_limits=QuotaLimits(active_tasks=1))
    api.submit()
    with client_of(api) as client, pytest.raises(openai.RateLimitError) as raised:
        client.images.generate(prompt=PROMPT)
    assert raised.value.response.headers["Retry-After"] == "10"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (FailureCode.CONTENT_FILTERED, openai.BadRequestError),
        (FailureCode.INVALID_OUTPUT, openai.InternalServerError),
    ],
)
def test_failed_task_raises_once_although_the_client_retries(
    api: Api, code: FailureCode, kind: type[Exception]
) -> None:
    with client_of(api, max_retries=2) as client:
        assert isinstance(raised_after(api, client, failing(api, code)), kind)
    assert len(api.store.all_tasks) == 1


def test_cancelled_task_is_a_conflict_error_without_a_retry(api: Api) -> None:
    with client_of(api, max_retries=2) as client:
        error = raised_after(api, client, lambda task: api.client.post(f"/v1/tasks/{task.id}/cancel"))
    assert isinstance(error, openai.ConflictError)
    assert len(api.store.all_tasks) == 1


def test_failure_in_a_stream_is_an_api_error(api: Api) -> None:
    with client_of(api) as client, ThreadPoolExecutor(1) as pool:
        events = pool.submit(lambda: list(client.images.generate(prompt=PROMPT, stream=True)))
        assert api.changes.begun.acquire(timeout=60)
        (task,) = api.store.all_tasks
        failing(api, FailureCode.INVALID_OUTPUT)(task)
        error = events.exception(10)
    assert isinstance(error, openai.APIError)
    assert (error.code, error.message) == ("invalid_output", FailureCode.INVALID_OUTPUT.failure().message)
