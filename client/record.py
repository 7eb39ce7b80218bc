"""Record: what the API answers with, read leniently, so that a client outlives the server's next version."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Part of an answer. Fields that this client does not know are kept in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)
