"""Base classes of the API's response objects."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

_Item = TypeVar("_Item", bound="Record")


class Record(BaseModel):
    """Part of a response. Unknown fields, as newer versions of the API send, are kept in `model_extra`.

    NaN and infinities, which are not JSON, are refused: not every program can format or sleep them.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, allow_inf_nan=False)


class Page(Record, Generic[_Item]):
    """A page of a list, newest item first."""

    items: tuple[_Item, ...]
    next_page_token: str | None = None
