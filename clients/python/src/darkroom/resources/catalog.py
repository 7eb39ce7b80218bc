"""Calls for the model catalog."""

from darkroom.calls import Calls, path_of
from darkroom.models.model_spec import ModelList, ModelSpec
from darkroom.sansio import Flow


def models(calls: Calls) -> Flow[tuple[ModelSpec, ...]]:
    """Return all models, the default model first."""
    return (yield from calls.record(ModelList, calls.request("GET", path_of("models")))).models


def model(calls: Calls, name: str) -> Flow[ModelSpec]:
    """Return one model."""
    return calls.record(ModelSpec, calls.request("GET", path_of("models", name)))
