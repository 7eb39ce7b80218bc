"""Calls for the model catalog."""

from client.calls import Calls, path_of
from client.flow import Flow
from client.model_spec import ModelList, ModelSpec


def models(calls: Calls) -> Flow[tuple[ModelSpec, ...]]:
    """Return all models, the default model first."""
    return (yield from calls.record(ModelList, calls.request("GET", path_of("models")))).models


def model(calls: Calls, name: str) -> Flow[ModelSpec]:
    """Return one model."""
    return calls.record(ModelSpec, calls.request("GET", path_of("models", name)))
