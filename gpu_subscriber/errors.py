"""Every error that is the worker's own, with the stable code that Firestore and logs share.

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
    """Something that keeps this worker from finishing what it does."""

    code: ClassVar[str] = "worker_error"


class GenerationInterruptedError(WorkerError):
    """The drawing was stopped before its last image: on request, or because the engine process had to go."""

    code = "generation_interrupted"


class GenerationFailedError(WorkerError):
    """An image could not be drawn; `failure` says why and whether another attempt may help."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


class ObjectConflictError(WorkerError):
    """Other bytes already lie under this object name. Names hold the attempt, so this is not a race but a mistake."""

    code = "object_conflict"

    def __init__(self, object_name: str) -> None:
        super().__init__(f"other bytes lie under {object_name!r} already")
        self.object_name = object_name


class EngineGoneError(WorkerError):
    """The engine process is dead, or its end of the pipe is closed."""

    code = "engine_gone"


class UnreadableImageError(WorkerError):
    """These bytes are no image, or no image of darkroom's."""

    code = "unreadable_image"
