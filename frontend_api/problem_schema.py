"""The shape of a problem document, for OpenAPI: what `Problem.body` writes."""

from pydantic import BaseModel, ConfigDict, Field


class BodyComplaint(BaseModel):
    """One thing in the body that was refused, and what would have been accepted."""

    pointer: str = Field(description="JSON pointer into the body; empty for all of it.")
    detail: str


class ParameterComplaint(BaseModel):
    """One parameter of the query that was refused, and what would have been accepted."""

    parameter: str = Field(description="The query parameter's name.")
    detail: str


class HeaderComplaint(BaseModel):
    """One header that was refused, and what would have been accepted."""

    header: str = Field(description="The header's name.")
    detail: str


class ProblemDocument(BaseModel):
    """A refusal or failure (RFC 9457)."""

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
