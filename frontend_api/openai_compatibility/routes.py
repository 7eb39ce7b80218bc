"""/openai/v1: OpenAI's image API and its list of models."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

from flask import Blueprint, Response, request

from common.domain.errors import DependencyUnavailableError, ParametersRejectedError, UnknownModelError
from common.domain.models.catalog import ModelCatalog
from common.domain.task import Task
from frontend_api.fair_shares import Reserve
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.request_log import current_trace_id
from frontend_api.http.requests import (
    authenticate,
    caller_id,
    check_media_type,
    current,
    idempotency_key,
    json_body,
    permission_check,
)
from frontend_api.http.response_memory import check_response_memory, memory_of_stream, reserve_memory
from frontend_api.http.responses import UNBUFFERED, json_response
from frontend_api.images.ports import Images
from frontend_api.inputs.package import Inputs
from frontend_api.inputs.request_body import FORM, uploaded_form
from frontend_api.inputs.routes import PICTURE_PROBLEMS
from frontend_api.openai_compatibility.edits import (
    MAX_FILES,
    Edit,
    OpenAIEditForm,
    editing_model,
    parse_edit,
)
from frontend_api.openai_compatibility.errors import (
    OPENAI_ERRORS,
    ErrorAnswer,
    GenerationError,
    OpenAIErrorResponse,
    answer_of,
    failure_of,
)
from frontend_api.openai_compatibility.events import image_events
from frontend_api.openai_compatibility.generation import (
    CallerGoneError,
    Generation,
    ServerStoppingError,
    abandon,
)
from frontend_api.openai_compatibility.package import OpenAICompatibility
from frontend_api.openai_compatibility.rendering import EventPrefix, RenderGeneration
from frontend_api.openai_compatibility.schemas import (
    OpenAIImageEvent,
    OpenAIImageRequest,
    OpenAIImagesOrError,
    OpenAIModel,
    OpenAIModelList,
    use_openai_names,
)
from frontend_api.quotas.headers import limit_rejections
from frontend_api.streams.connection import ClientConnection
from frontend_api.streams.package import Streams
from frontend_api.streams.slots import reserve_subscription
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.routes import SUBMISSION_PROBLEMS, accept
from frontend_api.tasks.submit import OutcomeUnknownError, Submission

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


_RESPONSES = {
    200: ResponseDoc(
        "The images. After a long wait the body is preceded by white space and may be an error. With `stream`: "
        "events.",
        OpenAIImagesOrError,
        stream=OpenAIImageEvent,
    ),
    409: ResponseDoc("The task was cancelled.", OpenAIErrorResponse),
    504: ResponseDoc("The task did not finish in time.", OpenAIErrorResponse),
}
_REQUEST_HEADERS = {
    "Idempotency-Key": "1 to 255 printable ASCII characters. Requests with the same key and body share one task, "
    "which continues when the caller disconnects."
}


@blueprint.post("/images/generations")
@doc(
    "generateOpenAIImages",
    _RESPONSES,
    problems=SUBMISSION_PROBLEMS,
    body=OpenAIImageRequest,
    headers=_REQUEST_HEADERS,
)
def generate() -> Response:
    """Generate images.

    The request is a task. It is cancelled when the caller disconnects.
    """
    limit_rejections()
    key = idempotency_key()
    asked = json_body(OpenAIImageRequest)
    return _response(asked.submission(user_id=caller_id(), idempotency_key=key), asked)


@blueprint.post("/images/edits")
@doc(
    "editOpenAIImages",
    _RESPONSES,
    problems=("edits_not_offered", *SUBMISSION_PROBLEMS, *PICTURE_PROBLEMS),
    form=OpenAIEditForm,
    headers=_REQUEST_HEADERS,
)
def edit() -> Response:
    """Generate images that start from a picture.

    The pictures are stored as inputs. The rest is as for `images/generations`.
    """
    limit_rejections()
    editing_model(current(ModelCatalog))
    return _response(*_stored_edit(idempotency_key()), event_prefix="image_edit")


def _stored_edit(key: str | None) -> tuple[Submission, OpenAIImageRequest]:
    """Store the pictures; return the submission and the request, which do not keep them in memory."""
    edit = _edit_of_form()
    inputs, user_id = current(Inputs), caller_id()
    image = inputs.upload(user_id, edit.image).stored.id
    mask = None if edit.mask is None else inputs.upload(user_id, edit.mask).stored.id
    submission = edit.submission(user_id=user_id, idempotency_key=key, image=image, mask_image=mask)
    return submission, edit.asked


def _edit_of_form() -> Edit:
    check_media_type(FORM)
    texts, files = uploaded_form(max_file_bytes=current(Inputs).limits.bytes_each, max_files=MAX_FILES)
    return parse_edit(texts, files, current(ModelCatalog))


def _response(
    submission: Submission, asked: OpenAIImageRequest, *, event_prefix: EventPrefix = "image_generation"
) -> Response:
    """Submit the task and return its images or events."""
    if asked.response_format != "url":
        check_response_memory()
    try:
        with ExitStack() as exits:
            # Take the slot first: a rejection afterwards would hide that the task was accepted.
            subscription = reserve_subscription()
            task = _accepted(submission)
            generation = Generation(
                task,
                subscription,
                ClientConnection(request.environ),
                cancel=None
                if submission.idempotency_key
                else partial(current(Tasks).cancel, task.user_id, task.id),
                is_permitted=permission_check(),
                check_seconds=current(Streams).heartbeat_seconds,
                wait_seconds=current(OpenAICompatibility).wait_seconds,
            )
            exits.enter_context(closing(generation))
            try:
                generation.start()
                render = _renderer(asked, event_prefix)
                response = _stream(generation, render) if asked.stream else _images(generation, render)
            except CallerGoneError:
                return Response(status=_CLIENT_CLOSED_REQUEST)
            except Exception as error:
                return _error_response(generation.answer_of(error))
            response.call_on_close(exits.pop_all().close)  # large images may be read slowly
            return response
    except GenerationError as error:
        return _error_response(error.answer)


def _accepted(submission: Submission) -> Task:
    try:
        return accept(submission).task
    except ParametersRejectedError as error:
        use_openai_names(error)
        raise
    except OutcomeUnknownError as error:
        if submission.idempotency_key is not None:
            raise
        # Rescue would queue the task, and OpenAI's clients send another request at once.
        cancel = partial(current(Tasks).cancel, submission.user_id, error.stored_task_id)
        if abandon(error.stored_task_id, cancel):
            raise DependencyUnavailableError(error.dependency) from error
        raise GenerationError(answer_of(error).without_retry) from error


def _stream(generation: Generation, render: RenderGeneration) -> Response:
    generation.connection.limit_send_buffer()
    heartbeat = current(Streams).heartbeat_seconds
    events = image_events(generation, render, reserve=memory_of_stream(), heartbeat_seconds=heartbeat)
    return Response(events, content_type="text/event-stream", headers=UNBUFFERED)


def _images(generation: Generation, render: RenderGeneration) -> Response:
    """Return the images, or begin a response that is kept alive until they are finished (ADR 31)."""
    with current(ConcurrencyLimiter).released():
        is_finished = generation.finishes_within(current(OpenAICompatibility).silent_seconds)
    if not is_finished:
        heartbeat = current(Streams).heartbeat_seconds
        body = _kept_alive(generation, render, reserve=memory_of_stream(), interval_seconds=heartbeat)
        return Response(body, content_type="application/json", headers=UNBUFFERED)
    if (failure := failure_of(generation.task)) is not None:
        return _error_response(failure)
    reserve_memory(render.size_bytes(generation.task), waits=True)
    response = json_response(render.response(generation.task))
    # Compressing encoded images takes ten times as long as the rest, and saves a quarter.
    response.cache_control.no_transform = True
    return response


def _kept_alive(
    generation: Generation, render: RenderGeneration, *, reserve: Reserve, interval_seconds: float
) -> Iterator[bytes]:
    """Yield white space, which may precede JSON, until the task is finished; then the body."""
    try:
        yield b" "
        while not generation.finishes_within(interval_seconds):
            yield b" "
        if (failure := failure_of(generation.task)) is None:
            with reserve(render.size_bytes(generation.task)):
                yield render.response(generation.task).model_dump_json().encode()
            return
        body = failure.body
    except CallerGoneError:
        generation.connection.close()
        return
    except Exception as error:
        answer = generation.answer_of(error)
        if isinstance(error, ServerStoppingError) and answer.may_retry:
            generation.connection.close()  # an incomplete response: clients send the request again
            return
        body = answer.body
    yield body.model_dump_json().encode()


def _renderer(asked: OpenAIImageRequest, event_prefix: EventPrefix) -> RenderGeneration:
    origin = current(OpenAICompatibility).origin or request.host_url.removesuffix("/")
    address = f"{origin}{request.root_path}"
    return RenderGeneration(
        asked=asked, images=current(Images), api_address=address, event_prefix=event_prefix
    )


def _error_response(answer: ErrorAnswer) -> Response:
    response = json_response(answer.body, answer.status)
    response.headers.update(answer.headers)
    return response


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
