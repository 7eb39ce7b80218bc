"""The shape of a problem document, for OpenAPI: what `Problem.body` writes."""

from pydantic import BaseModel, ConfigDict, Field


class ProblemComplaint(BaseModel):
    """One thing that was refused; exactly one of `pointer`, `parameter` and `header` says where."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body; empty for all of it.")
    parameter: str | None = Field(default=None, description="The query parameter's name.")
    header: str | None = Field(default=None, description="The header's name.")
    detail: str


class ProblemDocument(BaseModel):
    """A refusal or failure (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    type: str = Field(description="Relative reference to the problem's documentation.")
    title: str
    status: int
    code: str = Field(description="Stable; the same in answers, logs and task documents.")
    detail: str
    errors: list[ProblemComplaint]
    retryable: bool
    trace_id: str | None
    task_id: str | None = Field(default=None, description="The task that was stored all the same.")
