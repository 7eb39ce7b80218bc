"""Which of Firestore's errors mean what here: a document that changed, a service out of reach, another try."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_exception_type

from common.domain.errors import DependencyUnavailableError

UNREACHABLE = (
    google_errors.ServiceUnavailable,
    google_errors.DeadlineExceeded,
    google_errors.InternalServerError,
    google_errors.ResourceExhausted,
    google_errors.Cancelled,
    google_errors.Unknown,
    google_errors.RetryError,
)
CHANGED_MEANWHILE = (google_errors.FailedPrecondition, google_errors.Aborted)
"""The document is no longer the one that a conditional write was made from."""


def tried_again_within(seconds: float) -> Retry:
    """For reads and other calls that may be repeated. Without it a call's timeout bounds each of the library's tries,
    and the tries go on for 300 s, with pauses of up to a minute.
    """
    return Retry(
        predicate=if_exception_type(google_errors.ServiceUnavailable, google_errors.InternalServerError),
        initial=0.1,
        maximum=1.0,
        timeout=seconds,
    )


def repeatable_within(seconds: float) -> dict[str, Any]:
    """The keyword arguments of such a call: tried again, and given up after so long."""
    return {"retry": tried_again_within(seconds), "timeout": seconds}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Whatever says that Firestore cannot be reached becomes DependencyUnavailableError."""
    try:
        yield
    except UNREACHABLE as exc:
        raise DependencyUnavailableError("firestore") from exc
