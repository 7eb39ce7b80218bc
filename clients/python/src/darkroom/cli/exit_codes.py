"""The exit codes of the command, by kind of error. docs/client.md documents them."""

from enum import IntEnum
from typing import Final

from darkroom.errors import (
    ClientError,
    ConfigurationError,
    EditedImageError,
    ForbiddenError,
    InvalidRequestError,
    NoImageRecordError,
    NotFoundError,
    TaskCancelledError,
    TaskDeletedError,
    TaskFailedError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
    WaitTimeoutError,
)


class ExitCode(IntEnum):
    """Stable exit codes. Invalid command lines exit with 2, too."""

    SUCCESS = 0
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
    ExitCode.SUCCESS: "success",
    ExitCode.REFUSED: "the API refused the operation, or a file could not be read or written",
    ExitCode.USAGE: "the command line or a field of the request is invalid",
    ExitCode.TASK_FAILED: "the task failed",
    ExitCode.TASK_CANCELLED: "the task was cancelled",
    ExitCode.NOT_FOUND: "the task, image, model or dead letter does not exist or was deleted",
    ExitCode.UNAVAILABLE: "the server is unreachable, unavailable, or returned an invalid response",
    ExitCode.NOT_ALLOWED: "the credentials are missing, invalid or lack the permission",
    ExitCode.TIMED_OUT: "the timeout expired; the task continues",
    ExitCode.DIFFERENT: "the image and the image generated again differ",
    ExitCode.NO_RECORD: "the image file has no record of how it was generated",
    ExitCode.EDITED: "the image file was edited after darkroom wrote it",
    ExitCode.INTERRUPTED: "interrupted; the task continues, except with --cancel-on-interrupt",
}

_BY_ERROR: Final[tuple[tuple[tuple[type[ClientError], ...], ExitCode], ...]] = (
    ((ConfigurationError, InvalidRequestError), ExitCode.USAGE),
    ((TaskFailedError,), ExitCode.TASK_FAILED),
    ((TaskCancelledError,), ExitCode.TASK_CANCELLED),
    ((NotFoundError, TaskDeletedError), ExitCode.NOT_FOUND),
    (
        (UnreachableError, UnexpectedResponseError, UnavailableError, TooManyRequestsError),
        ExitCode.UNAVAILABLE,
    ),
    ((UnauthenticatedError, ForbiddenError), ExitCode.NOT_ALLOWED),
    ((WaitTimeoutError,), ExitCode.TIMED_OUT),
    ((NoImageRecordError,), ExitCode.NO_RECORD),
    ((EditedImageError,), ExitCode.EDITED),
)


def exit_code_of(error: ClientError) -> ExitCode:
    """Return the exit code for an error."""
    return next((code for kinds, code in _BY_ERROR if isinstance(error, kinds)), ExitCode.REFUSED)
