"""/v1/models: the offered models, with limits and defaults."""

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
from frontend_api.estimates.package import Estimates
from frontend_api.estimates.workload import Workload
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.requests import authenticate, current
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ResponseBody

blueprint = Blueprint("models", __name__, url_prefix="/v1/models")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="models")


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
    served: bool | None = Field(
        description="Whether a live worker serves the model; if false, its tasks stay queued. null: unknown."
    )
    workers: int | None = Field(
        description="Number of live workers that serve the model; null if unknown. With 0, its tasks stay queued."
    )

    @classmethod
    def of(cls, spec: ModelSpec, workload: Workload | None) -> "ModelResponse":
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
    workload = current(Estimates).workload_cache.latest()
    models = tuple(ModelResponse.of(spec, workload) for spec in current(ModelCatalog).models)
    return json_response(ModelListResponse(models=models))


@blueprint.get("/<name>")
@doc(
    "readModel",
    {200: ResponseDoc("The model.", ModelResponse)},
    problems=("model_not_found",),
)
def read(name: str) -> Response:
    """Read one model's limits and defaults."""
    try:
        spec = current(ModelCatalog).get(name)
    except UnknownModelError as exc:
        problem = Problem(code="model_not_found", detail=f"available models: {', '.join(exc.offered)}")
        raise RequestRefusedError(problem) from exc
    return json_response(ModelResponse.of(spec, current(Estimates).workload_cache.latest()))
