"""OpenAI's request for edits: a form with a picture, optionally a mask, and text fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, ValidationError

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.models.catalog import ModelCatalog
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Input
from frontend_api.http.error_mapping import body_problem
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError, rejected
from frontend_api.openai_compatibility.schemas import OpenAIImageRequest
from frontend_api.tasks.request_fields import bounds_of
from frontend_api.tasks.submit import Submission

PATH = "/openai/v1/images/edits"
MAX_FILES = 2
_IMAGE, _MASK = ("image", "image[]"), "mask"
"""OpenAI's clients send a list of pictures as `image[]`."""


class OpenAIEditFields(OpenAIImageRequest):
    """The text fields."""

    strength: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="How far the picture is changed: darkroom's own field.",
        json_schema_extra=bounds_of("strength"),
    )
    input_fidelity: Literal["low", "high"] | None = Field(
        default=None, description="Has no effect; set `strength` instead."
    )


class OpenAIEditForm(OpenAIEditFields):
    """OpenAI's request for edits of one picture, and darkroom's parameters."""

    image: bytes = Field(description="The picture to edit: a PNG, JPEG or WebP.")
    mask: bytes | None = Field(
        default=None,
        description="What to generate again: the transparent parts, or the white parts of a mask without "
        "transparency.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A checked request. The pictures are bytes that no decoder has read."""

    asked: OpenAIEditFields
    image: bytes
    mask: bytes | None

    def submission(
        self, *, user_id: str, idempotency_key: str | None, image: str, mask_image: str | None
    ) -> Submission:
        """Return the submission, given the ids of the uploaded pictures."""
        plain = self.asked.submission(user_id=user_id, idempotency_key=idempotency_key)
        pictures = {"image": image, "mask_image": mask_image, "strength": self.asked.strength}
        return replace(plain, parameters={**plain.parameters, **pictures})


def parse_edit(
    texts: Mapping[str, Sequence[str]], files: Mapping[str, Sequence[bytes]], catalog: ModelCatalog
) -> Edit:
    """Check the parts of a form. Raises RequestRefusedError, UnknownModelError, ParametersRejectedError."""
    complaints = [
        Complaint("pointer", f"/{name}", "must be given only once")
        for name, values in texts.items()
        if len(values) > 1
    ]
    complaints += [
        Complaint("pointer", f"/{name}", "must be a file") for name in (*_IMAGE, _MASK) if name in texts
    ]
    complaints += [
        Complaint("pointer", f"/{name}", "is not a known file")
        for name in files
        if name not in (*_IMAGE, _MASK)
    ]
    images = [each for name in _IMAGE for each in files.get(name, ())]
    if len(images) != 1:
        complaints.append(Complaint("pointer", "/image", f"must be one picture (got {len(images)})"))
    if len(masks := files.get(_MASK, ())) > 1:
        complaints.append(Complaint("pointer", "/mask", f"must be one picture (got {len(masks)})"))
    if complaints:
        raise RequestRefusedError(rejected(complaints))
    try:
        single = {name: each for name, (each,) in texts.items()}
        asked = OpenAIEditFields.model_validate_strings(single, strict=False)
    except ValidationError as exc:
        raise RequestRefusedError(body_problem(exc)) from exc
    spec = editing_model(catalog, has_mask=bool(masks)) if asked.model is None else catalog.get(asked.model)
    _check_inputs(spec, has_mask=bool(masks))
    return Edit(
        asked=asked.model_copy(update={"model": spec.name}), image=images[0], mask=masks[0] if masks else None
    )


def editing_model(catalog: ModelCatalog, *, has_mask: bool = False) -> ModelSpec:
    """Return the first model for such a request, or else the first that takes a picture.

    Raises RequestRefusedError if none does.
    """
    taking = [spec for spec in catalog.models if Input.IMAGE in spec.traits.inputs]
    for spec in taking:
        fits = Input.MASK in spec.traits.inputs if has_mask else Input.MASK not in spec.traits.required_inputs
        if fits:
            return spec
    if taking:
        return taking[0]
    detail = "no model edits images; `images/generations` generates them from a prompt"
    raise RequestRefusedError(Problem(code="edits_not_offered", detail=detail))


def _check_inputs(spec: ModelSpec, *, has_mask: bool) -> None:
    """Refuse pictures that the model does not take, and missing ones, before any is stored."""
    for name, kind, is_given in (("image", Input.IMAGE, True), (_MASK, Input.MASK, has_mask)):
        if is_given and kind not in spec.traits.inputs:
            problem = FieldProblem(f"/{name}", f"is not an input of the model {spec.name!r}")
            raise ParametersRejectedError("1 field is invalid", (problem,))
    if Input.MASK in spec.traits.required_inputs and not has_mask:
        detail = f"is required by the model {spec.name!r}: add it, or choose another model"
        raise ParametersRejectedError("1 field is invalid", (FieldProblem(f"/{_MASK}", detail),))
