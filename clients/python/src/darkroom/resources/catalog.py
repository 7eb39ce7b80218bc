"""Operations on the model catalog."""

from darkroom.calls import Calls, path_of
from darkroom.models.catalog import ModelList, ModelSpec
from darkroom.sansio import Operation


def models(calls: Calls) -> Operation[tuple[ModelSpec, ...]]:
    return (yield from calls.fetch(ModelList, calls.request("GET", path_of("models")))).models


def model(calls: Calls, name: str) -> Operation[ModelSpec]:
    return calls.fetch(ModelSpec, calls.request("GET", path_of("models", name)))
