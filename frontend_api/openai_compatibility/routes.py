"""/openai/v1: OpenAI's image API and its list of models."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

from flask import Blueprint, Response, request

from common.domain.errors import ParametersRejectedError, UnknownModelError
from common.domain.models.catalog import ModelCatalog
from common.domain.task import Task
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.request_log import current_trace_id
from frontend_api.http.requests import (
    authenticate,
    caller_id,
    current,
    idempotency_key,
    json_body,
    permission_check,
)
from frontend_api.http.responses import UNBUFFERED, json_response
from frontend_api.images.ports import Images
from frontend_api.openai_compatibility.errors import (
    OPENAI_ERRORS,
    ErrorAnswer,
    GenerationError,
    OpenAIErrorResponse,
    answer_of,
    failure_of,
)
from frontend_api.openai_compatibility.events import image_events
from frontend_api.openai_compatibility.generation import CallerGoneError, Generation, ServerStoppingError
from frontend_api.openai_compatibility.package import OpenAICompatibility
from frontend_api.openai_compatibility.rendering import RenderGeneration
from frontend_api.openai_compatibility.schemas import (
    OpenAIImageEvent,
    OpenAIImageRequest,
    OpenAIImagesResponse,
    OpenAIModel,
    OpenAIModelList,
    with_openai_names,
)
from frontend_api.quotas.headers import limit_rejections
from frontend_api.streams.connection import ClientConnection
from frontend_api.streams.package import Streams
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.routes import SUBMISSION_PROBLEMS, accept

blueprint = Blueprint("openai", __name__, url_prefix="/openai/v1")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="openai", errors=OPENAI_ERRORS)

_CLIENT_CLOSED_REQUEST = 499
"""nginx's status, which only the log shows."""


@blueprint.after_request
def add_request_id(response: Response) -> Response:
    """Add the header in which OpenAI's clients find the id of a request."""
    if (trace_id := current_trace_id()) is not None:
        response.headers["X-Request-Id"] = trace_id
    return response


@blueprint.post("/images/generations")
@doc(
    "generateOpenAIImages",
    {
        200: ResponseDoc(
            "The images. After a long wait the body is preceded by white space and may be an error. With `stream`: "
            "events.",
            OpenAIImagesResponse,
            stream=OpenAIImageEvent,
        ),
        409: ResponseDoc("The task was cancelled.", OpenAIErrorResponse),
        504: ResponseDoc("The task did not finish in time.", OpenAIErrorResponse),
    },
    problems=SUBMISSION_PROBLEMS,
    body=OpenAIImageRequest,
    headers={
        "Idempotency-Key": "1 to 255 printable ASCII characters. Requests with the same key and body share one task, "
        "which continues when the caller disconnects."
    },
)
def generate() -> Response:
    """Generate images.

    The request is a task. It is cancelled when the caller disconnects.
    """
    limit_rejections()
    key = idempotency_key()
    asked = json_body(OpenAIImageRequest)
    try:
        with ExitStack() as exits:
            # Take the slot first: a rejection afterwards would hide that the task was accepted.
            subscription = exits.enter_context(current(Streams).subscriptions.reserve(caller_id()))
            task = _accepted(asked, key)
            generation = Generation(
                task,
                subscription,
                ClientConnection(request.environ),
                cancel=None if key else partial(current(Tasks).cancel, task.user_id, task.id),
                is_permitted=permission_check(),
                check_seconds=current(Streams).heartbeat_seconds,
                wait_seconds=current(OpenAICompatibility).wait_seconds,
            )
            exits.enter_context(closing(generation))
            response = _stream(generation, asked) if asked.stream else _images(generation, asked)
            if response.is_streamed:
                response.call_on_close(exits.pop_all().close)
            return response
    except CallerGoneError:
        return Response(status=_CLIENT_CLOSED_REQUEST)
    except GenerationError as error:
        return _error_response(error.answer)


def _accepted(asked: OpenAIImageRequest, key: str | None) -> Task:
    try:
        return accept(asked.submission(user_id=caller_id(), idempotency_key=key)).task
    except ParametersRejectedError as error:
        raise with_openai_names(error) from error


def _stream(generation: Generation, asked: OpenAIImageRequest) -> Response:
    generation.connection.limit_send_buffer()
    heartbeat = current(Streams).heartbeat_seconds
    events = image_events(generation, _renderer(asked), heartbeat_seconds=heartbeat)
    return Response(events, content_type="text/event-stream", headers=UNBUFFERED)


def _images(generation: Generation, asked: OpenAIImageRequest) -> Response:
    """Return the images, or begin a response that is kept alive until they are finished (ADR 31)."""
    render = _renderer(asked)
    with current(ConcurrencyLimiter).released():
        is_finished = generation.finishes_within(current(OpenAICompatibility).silent_seconds)
    if not is_finished:
        body = _kept_alive(generation, render, interval_seconds=current(Streams).heartbeat_seconds)
        return Response(body, content_type="application/json", headers=UNBUFFERED)
    if (failure := failure_of(generation.task)) is not None:
        return _error_response(failure)
    return json_response(render.response(generation.task))


def _kept_alive(
    generation: Generation, render: RenderGeneration, *, interval_seconds: float
) -> Iterator[bytes]:
    """Yield white space, which may precede JSON, until the task is finished; then the body."""
    try:
        yield b" "
        while not generation.finishes_within(interval_seconds):
            yield b" "
        failure = failure_of(generation.task)
        body = render.response(generation.task) if failure is None else failure.body
    except (CallerGoneError, ServerStoppingError):
        generation.connection.close()  # an incomplete response: clients send the request again
        return
    except Exception as error:
        body = answer_of(error).body
    yield body.model_dump_json().encode()


def _renderer(asked: OpenAIImageRequest) -> RenderGeneration:
    origin = current(OpenAICompatibility).origin or request.host_url.removesuffix("/")
    address = f"{origin}{request.root_path}"
    return RenderGeneration(asked=asked, images=current(Images), api_address=address)


def _error_response(answer: ErrorAnswer) -> Response:
    response = json_response(answer.body, answer.status)
    response.headers.update(answer.headers)
    return response


@blueprint.post("/images/edits")
@doc("editOpenAIImages", {}, problems=("edits_not_offered",))
def edit() -> Response:
    """Edit images. No model offers it."""
    detail = "no model edits images; `images/generations` generates them from a prompt"
    raise RequestRefusedError(Problem(code="edits_not_offered", detail=detail))


@blueprint.get("/models")
@doc("listOpenAIModels", {200: ResponseDoc("All models; the first is the default.", OpenAIModelList)})
def list_models() -> Response:
    """List the available models."""
    models = tuple(map(OpenAIModel.of_spec, current(ModelCatalog).models))
    return json_response(OpenAIModelList(data=models))


@blueprint.get("/models/<name>")
@doc("readOpenAIModel", {200: ResponseDoc("The model.", OpenAIModel)}, problems=("model_not_found",))
def read_model(name: str) -> Response:
    """Read one model."""
    try:
        return json_response(OpenAIModel.of_spec(current(ModelCatalog).get(name)))
    except UnknownModelError as exc:
        problem = Problem(code="model_not_found", detail=str(exc))
        raise RequestRefusedError(problem) from exc
