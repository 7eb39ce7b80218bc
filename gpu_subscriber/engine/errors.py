"""Errors of one Run or one model, with the failure codes that the task's owner sees.

EngineError
├── ModelUnavailableError      model_unavailable     retryable
├── InvalidOutputError         invalid_output
├── ContentFilteredError       content_filtered
├── OutOfMemoryError           out_of_gpu_memory     retryable
├── CheckpointRefusedError     checkpoint_refused    never reaches the owner: the Run starts over
└── RunStoppedError            run_stopped           never reaches the owner: the Run was interrupted
"""

from typing import ClassVar

from common.domain.task import Failure


class EngineError(Exception):
    """One Run cannot continue; the others can. `str(error)` may be shown to the owner."""

    code: ClassVar[str] = "generation_failed"
    retryable: ClassVar[bool] = False

    @property
    def failure(self) -> Failure:
        """The failure that the task records."""
        return Failure(code=self.code, message=str(self), retryable=self.retryable)


class ModelUnavailableError(EngineError):
    """This worker cannot serve the model at present.

    `reason` is for operators: it may contain paths.
    """

    code = "model_unavailable"
    retryable = True  # on another worker, or here once the cause is fixed

    def __init__(self, model: str, *, reason: str) -> None:
        super().__init__(f"The worker could not load the model {model!r}.")
        self.reason = reason


class ModelRefusedError(Exception):
    """The catalog entry and the model do not fit.

    The text tells operators what to change in the entry.
    """


class InvalidOutputError(EngineError):
    """The network's numbers are not finite, twice: the same seed fails on any worker."""

    code = "invalid_output"


class ContentFilteredError(EngineError):
    """The model's own safety checker refused the image."""

    code = "content_filtered"


class OutOfMemoryError(EngineError):
    """One image alone does not fit into the device's memory."""

    code = "out_of_gpu_memory"
    retryable = True


class CheckpointRefusedError(EngineError):
    """The checkpoint is damaged or belongs to another model, sampler or software."""

    code = "checkpoint_refused"


class RunStoppedError(EngineError):
    """Raised inside a stock pipeline's step callback to leave it."""

    code = "run_stopped"
