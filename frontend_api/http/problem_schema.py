"""The OpenAPI schema of a problem document, as `Problem.body` writes it."""

from pydantic import BaseModel, ConfigDict, Field


class BodyComplaint(BaseModel):
    """A rejected part of the body, and what is accepted."""

    pointer: str = Field(description="JSON pointer into the body; empty for all of it.")
    detail: str


class ParameterComplaint(BaseModel):
    """A rejected query parameter, and what is accepted."""

    parameter: str = Field(description="The query parameter's name.")
    detail: str


class HeaderComplaint(BaseModel):
    """A rejected header, and what is accepted."""

    header: str = Field(description="The header's name.")
    detail: str


class ProblemDocument(BaseModel):
    """A rejection or failure (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    type: str = Field(description="Relative reference to the problem's documentation.")
    title: str
    status: int
    code: str = Field(description="Stable; the same in answers, logs and task documents.")
    detail: str
    errors: list[BodyComplaint | ParameterComplaint | HeaderComplaint]
    retryable: bool
    trace_id: str | None
    task_id: str | None = Field(
        default=None,
        description="The task that is stored, or may be: read it, or send the same request with the same key.",
    )
