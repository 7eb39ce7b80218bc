"""Errors of one Run or one model, with the failure codes that the task's owner sees."""

from typing import ClassVar

from common.domain.failures import FailureCode
from common.domain.task import Failure


class EngineError(Exception):
    """One Run cannot continue; the others can. Its text is shown to the owner as a detail."""

    code: ClassVar[FailureCode] = FailureCode.GENERATION_FAILED

    @property
    def failure(self) -> Failure:
        """The failure that the task records."""
        return self.code.failure(str(self))


class ModelUnavailableError(EngineError):
    """This worker cannot serve the model at present.

    `reason` is for operators: it may contain paths.
    """

    code = FailureCode.MODEL_UNAVAILABLE

    def __init__(self, model: str, *, reason: str) -> None:
        super().__init__(model)
        self.reason = reason


class LoraUnavailableError(EngineError):
    """A LoRA of the model cannot be applied. The log has the reason for operators."""

    code = FailureCode.MODEL_UNAVAILABLE


class ModelRefusedError(Exception):
    """The catalog entry does not match the model.

    The text describes what operators must change in the entry.
    """


class InvalidOutputError(EngineError):
    """The network's numbers are not finite, twice: the same seed fails on any worker."""

    code = FailureCode.INVALID_OUTPUT


class ContentFilteredError(EngineError):
    """The model's own safety checker or the worker's image classifier refused the image."""

    code = FailureCode.CONTENT_FILTERED


class OutOfMemoryError(EngineError):
    """One image alone does not fit into the device's memory."""

    code = FailureCode.OUT_OF_GPU_MEMORY


class MissingInputError(EngineError):
    """The task starts from a picture that the engine did not receive."""


class CheckpointRefusedError(EngineError):
    """The checkpoint is damaged or belongs to another model, sampler or software.

    It is no failure of the task: the Run starts over.
    """


class RunStoppedError(EngineError):
    """Raised inside a stock pipeline's step callback to leave it: the Run was interrupted."""
