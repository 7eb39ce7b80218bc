"""Base of the API's response objects, tolerant of fields of newer versions."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Part of a response. Unknown fields are kept in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)
