"""Errors of the worker."""

from common.domain.task import Failure


class WorkerError(Exception):
    """Base of the errors that keep this worker from finishing an operation."""


class GenerationInterruptedError(WorkerError):
    """The generation was stopped before its last image, on request or because the engine ended."""


class GenerationFailedError(WorkerError):
    """Generation failed; `failure` has the reason and whether another attempt may help."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


class ObjectConflictError(WorkerError):
    """An object of this name has other bytes.

    Names contain the attempt, so this is a bug, not a race.
    """

    def __init__(self, object_name: str) -> None:
        super().__init__(f"the object {object_name!r} already has other bytes")
        self.object_name = object_name


class EngineExitedError(WorkerError):
    """The engine process is dead, or its end of the pipe is closed."""


class UnreadableImageError(WorkerError):
    """The bytes are not an image, or not one that darkroom wrote."""
