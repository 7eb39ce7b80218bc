"""/v1/models: the offered models, with limits, defaults and an example picture."""

from flask import Blueprint, Response
from pydantic import Field

from common.domain.errors import UnknownModelError
from common.domain.models.catalog import ModelCatalog
from common.domain.models.families import shares_steps
from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.model_files import ModelFiles
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Adapter, Input, ModelTraits, PromptSyntax
from common.domain.parameters import OutputFormat, Sampler
from common.model_files.example_file import read_example
from common.model_files.weights import UnservableModelError
from frontend_api.estimates.package import Estimates
from frontend_api.estimates.workload import Workload
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.requests import authenticate, current
from frontend_api.http.responses import cached, conditional, json_response
from frontend_api.http.schemas import ResponseBody, RoundedSeconds

blueprint = Blueprint("models", __name__, url_prefix="/v1/models")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="models")

_AN_HOUR = 3_600


class LoraResponse(ResponseBody):
    """A LoRA of a model: additional weights that change its style or its subjects."""

    name: str
    title: str
    trigger: str = Field(description="Words that the prompt should contain; empty: none.")
    scale: float = Field(description="The scale of a request that states none.")
    min_scale: float
    max_scale: float


class SteeringWeightsResponse(ResponseBody):
    """Weights through which a picture steers the image: a control network, or an IP-Adapter."""

    name: str
    title: str


class ExampleResponse(ResponseBody):
    """A picture that the model generated: `GET /v1/models/{name}/example`."""

    prompt: str = Field(description="The prompt that it was generated from; empty: unknown.")


class ModelResponse(ResponseBody):
    """A model: its accepted parameters, and the defaults of omitted ones."""

    name: str
    title: str
    description: str
    family: str
    shares_steps: bool = Field(
        description="Whether images of different tasks share denoising steps. If false, images are generated one at a "
        "time."
    )
    samplers: tuple[Sampler, ...] = Field(
        description="The samplers that the model obeys. `own` is the scheduler of the checkpoint."
    )
    output_formats: tuple[OutputFormat, ...]
    max_prompt_tokens: int | None = Field(
        description="Number of prompt tokens that the model reads, without begin and end tokens. It ignores the rest, "
        "and the task has a warning. null: unknown."
    )
    prompt_syntaxes: tuple[PromptSyntax, ...] = Field(
        description="How the model can read prompts: `plain`, literally; `weighted`, with weights such as `(word:1.3)` "
        "and up to 8 times `max_prompt_tokens`."
    )
    inputs: tuple[Input, ...] = Field(
        description="What an image can be generated from: `text`, the prompt; `image`, a picture to start from; "
        "`mask`, the parts of the picture to generate again; `control`, a control image; `reference`, a picture to "
        "follow. Other inputs may follow."
    )
    controlnets: tuple[SteeringWeightsResponse, ...] = Field(
        description="The control networks that a task with a control image can choose from."
    )
    ip_adapters: tuple[SteeringWeightsResponse, ...] = Field(
        description="The IP-Adapters that a task with a reference picture can choose from."
    )
    adapters: tuple[Adapter, ...] = Field(
        description="The kinds of additional weights that a task can choose: `lora` and `ip_adapter`. "
        "Others may follow."
    )
    loras: tuple[LoraResponse, ...] = Field(description="The LoRAs that a task can choose; empty: none.")
    traits: ModelTraits = Field(
        description="Which parameters have an effect: `guidance` is `classifier_free` (two passes per step if the "
        "scale is above `guidance_off_at`, by default 1), `embedded` (one pass) or `none`. `required_inputs` are the "
        "inputs besides the text that every task needs; absent: none. `strength` is false where it has no effect. "
        "`max_clip_skip`, `guidance_rescale` and `eta` are absent where these parameters have no effect. Parameters "
        "without an effect are rejected."
    )
    limits: ModelLimits = Field(description="The bounds of the parameters. Others are rejected.")
    defaults: ModelDefaults = Field(description="The values of omitted parameters.")
    example: ExampleResponse | None = Field(description="The model's example picture; null: none.")
    typical_seconds: RoundedSeconds | None = Field(
        description="Median duration of a task with default parameters that does not wait. null: unknown."
    )
    served: bool | None = Field(
        description="Whether a live worker serves the model; if false, its tasks stay queued. null: unknown."
    )
    workers: int | None = Field(
        description="Number of live workers that serve the model; null if unknown. With 0, its tasks stay queued."
    )

    @classmethod
    def of(
        cls, spec: ModelSpec, workload: Workload | None, *, typical_seconds: float | None = None
    ) -> "ModelResponse":
        """Build the response, without the model's files."""
        fields = spec.model_dump(mode="json", exclude={*ModelFiles.model_fields, "tokenizer"})
        workers = None if workload is None else len(workload.workers_of(spec.name))
        return cls.model_validate(
            {
                **fields,
                "shares_steps": shares_steps(spec.family),
                "prompt_syntaxes": spec.traits.prompt_syntaxes,
                "inputs": spec.inputs,
                "controlnets": [each.model_dump(include={"name", "title"}) for each in spec.controlnets],
                "ip_adapters": [each.model_dump(include={"name", "title"}) for each in spec.ip_adapters],
                "adapters": spec.adapters,
                "example": None if spec.example is None else {"prompt": spec.example.prompt},
                "typical_seconds": typical_seconds,
                "served": None if workers is None else workers > 0,
                "workers": workers,
            }
        )


class ModelListResponse(ResponseBody):
    """All models. The first is the default of submissions that name none."""

    models: tuple[ModelResponse, ...]


@blueprint.get("")
@doc("listModels", {200: ResponseDoc("All models; the first is the default.", ModelListResponse)})
def list_all() -> Response:
    """List the available models."""
    models = tuple(_response(spec) for spec in current(ModelCatalog).models)
    return json_response(ModelListResponse(models=models))


@blueprint.get("/<name>")
@doc(
    "readModel",
    {200: ResponseDoc("The model.", ModelResponse)},
    problems=("model_not_found",),
)
def read(name: str) -> Response:
    """Read one model's limits and defaults."""
    return json_response(_response(_offered(name)))


@blueprint.get("/<name>/example")
@doc(
    "readModelExample",
    {
        200: ResponseDoc(
            "The picture's bytes.", media_type="image/*", headers={"ETag": "Changes with the picture."}
        ),
        304: ResponseDoc("The picture has not changed since the response with this ETag."),
    },
    problems=("model_not_found", "image_not_found"),
    headers={"If-None-Match": "The ETag of an earlier response."},
)
def read_example_picture(name: str) -> Response:
    """Fetch a model's example picture."""
    example = _offered(name).example
    try:
        picture = None if example is None else read_example(example)
    except UnservableModelError:  # the file has changed since the catalog was read
        picture = None
    if picture is None:
        raise RequestRefusedError(Problem(code="image_not_found", detail=f"model {name!r} has no example"))
    response = Response(picture.data, content_type=picture.media_type)
    response.add_etag()
    return conditional(cached(response, seconds=_AN_HOUR))


def _response(spec: ModelSpec) -> ModelResponse:
    estimates = current(Estimates)
    workload = estimates.workload_cache.latest()
    seconds = None
    if workload is not None:
        seconds = estimates.estimator.typical_seconds(workload, spec.defaulted(prompt="x", seed=0))
    return ModelResponse.of(spec, workload, typical_seconds=seconds)


def _offered(name: str) -> ModelSpec:
    try:
        return current(ModelCatalog).get(name)
    except UnknownModelError as exc:
        problem = Problem(code="model_not_found", detail=f"available models: {', '.join(exc.offered)}")
        raise RequestRefusedError(problem) from exc
