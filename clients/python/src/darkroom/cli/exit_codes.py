"""The exit codes of the command, by kind of error. docs/client.md documents them."""

from enum import IntEnum
from typing import Final

from darkroom.errors import (
    ClientError,
    ConfigurationError,
    EditedImageError,
    NoImageRecordError,
    TaskCancelledError,
    TaskDeletedError,
    TaskFailedError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitTimeoutError,
)
from darkroom.problem_errors import (
    ForbiddenError,
    NotFoundError,
    RequestRefusedError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)


class ExitCode(IntEnum):
    """Stable exit codes. Invalid command lines exit with 2, too."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    TASK_FAILED = 3
    TASK_CANCELLED = 4
    NOT_FOUND = 5
    UNAVAILABLE = 6
    NOT_ALLOWED = 7
    TIMED_OUT = 8
    DIFFERENT = 9
    NO_RECORD = 10
    EDITED = 11
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.DONE: "it is done",
    ExitCode.REFUSED: "refused, as things stand; or files could not be read or written",
    ExitCode.USAGE: "the command line, or a field of the request, is not acceptable",
    ExitCode.TASK_FAILED: "the task failed",
    ExitCode.TASK_CANCELLED: "the task was cancelled",
    ExitCode.NOT_FOUND: "no such task, image, model or dead letter, or no longer",
    ExitCode.UNAVAILABLE: "nobody answers, or not now, or not as darkroom does",
    ExitCode.NOT_ALLOWED: "no credentials, or not enough",
    ExitCode.TIMED_OUT: "the time that --timeout gave is up; the task goes on",
    ExitCode.DIFFERENT: "the image was drawn again, and is not the same",
    ExitCode.NO_RECORD: "the image holds no record of how it was made",
    ExitCode.EDITED: "the image was edited since darkroom wrote it",
    ExitCode.INTERRUPTED: "interrupted; the task goes on, unless --cancel-on-interrupt",
}

_OF_ERRORS: Final = (
    ((ConfigurationError, RequestRefusedError), ExitCode.USAGE),
    ((TaskFailedError,), ExitCode.TASK_FAILED),
    ((TaskCancelledError,), ExitCode.TASK_CANCELLED),
    ((NotFoundError, TaskDeletedError), ExitCode.NOT_FOUND),
    (
        (UnreachableError, UnexpectedAnswerError, UnavailableError, TooManyRequestsError),
        ExitCode.UNAVAILABLE,
    ),
    ((UnauthenticatedError, ForbiddenError), ExitCode.NOT_ALLOWED),
    ((WaitTimeoutError,), ExitCode.TIMED_OUT),
    ((NoImageRecordError,), ExitCode.NO_RECORD),
    ((EditedImageError,), ExitCode.EDITED),
)


def exit_code_of(error: ClientError) -> ExitCode:
    """Return the exit code for an error."""
    return next((code for kinds, code in _OF_ERRORS if isinstance(error, kinds)), ExitCode.REFUSED)
