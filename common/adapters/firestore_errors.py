"""Which of Firestore's errors mean what here: a document that changed meanwhile, or a service out of reach."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core import exceptions as google_errors

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


@contextmanager
def translated_errors() -> Iterator[None]:
    """Whatever says that Firestore cannot be reached becomes DependencyUnavailableError."""
    try:
        yield
    except UNREACHABLE as exc:
        raise DependencyUnavailableError("firestore") from exc
