"""Errors of the worker, with the stable codes that Firestore and logs share.

WorkerError
├── GenerationInterruptedError   generation_interrupted
├── GenerationFailedError        (the Failure's own code)
├── ObjectConflictError          object_conflict
├── EngineGoneError              engine_gone
└── UnreadableImageError         unreadable_image
"""

from typing import ClassVar

from common.domain.task import Failure


class WorkerError(Exception):
    """Base of the errors that keep this worker from finishing an operation."""

    code: ClassVar[str] = "worker_error"


class GenerationInterruptedError(WorkerError):
    """The generation was stopped before its last image, on request or because the engine ended."""

    code = "generation_interrupted"


class GenerationFailedError(WorkerError):
    """Generation failed; `failure` has the reason and whether another attempt may help."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


class ObjectConflictError(WorkerError):
    """An object of this name has other bytes.

    Names contain the attempt, so this is a bug, not a race.
    """

    code = "object_conflict"

    def __init__(self, object_name: str) -> None:
        super().__init__(f"other bytes lie under {object_name!r} already")
        self.object_name = object_name


class EngineGoneError(WorkerError):
    """The engine process is dead, or its end of the pipe is closed."""

    code = "engine_gone"


class UnreadableImageError(WorkerError):
    """The bytes are not an image, or not one that darkroom wrote."""

    code = "unreadable_image"
