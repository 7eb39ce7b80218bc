"""The exit codes of the command, by kind of error. docs/client.md documents them."""

from enum import IntEnum
from typing import Final

from typing_extensions import Self

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
    """Stable exit codes with their meanings. Invalid command lines exit with 2, too."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    SUCCESS = 0, "success"
    REFUSED = 1, "the API refused the operation, or a file could not be read or written"
    USAGE = 2, "the command line or a field of the request is invalid"
    TASK_FAILED = 3, "the task failed"
    TASK_CANCELLED = 4, "the task was cancelled"
    NOT_FOUND = 5, "the task, image, model or dead letter does not exist or was deleted"
    UNAVAILABLE = 6, "the server is unreachable, unavailable, or returned an invalid response"
    NOT_ALLOWED = 7, "the credentials are missing, invalid or lack the permission"
    TIMED_OUT = 8, "the timeout expired; the task continues"
    DIFFERENT = 9, "the image and the image generated again differ"
    NO_RECORD = 10, "the image file has no record of how it was generated"
    EDITED = 11, "the image file was edited after darkroom wrote it"
    INTERRUPTED = 130, "interrupted; the task continues, except with --cancel-on-interrupt"


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
