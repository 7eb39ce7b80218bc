"""Classification of Firestore's errors: changed documents, outages, retries."""

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
"""The document has changed since the conditional write was built."""


def tried_again_within(seconds: float) -> Retry:
    """Return the retry policy for reads and other repeatable calls.

    Without it, a call's timeout bounds each attempt of the library, and the attempts continue for
    300 s with pauses of up to a minute.
    """
    return Retry(
        predicate=if_exception_type(
            google_errors.ServiceUnavailable, google_errors.InternalServerError, google_errors.Aborted
        ),
        initial=0.1,
        maximum=1.0,
        timeout=seconds,
    )


def repeatable_within(seconds: float) -> dict[str, Any]:
    """Return keyword arguments for a repeatable call: retried, and failed after `seconds`."""
    return {"retry": tried_again_within(seconds), "timeout": seconds}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Convert errors that end by themselves to DependencyUnavailableError: outages and contention.

    Firestore may abort any write for contention, even one without a condition.
    """
    try:
        yield
    except (*UNREACHABLE, google_errors.Aborted) as exc:
        raise DependencyUnavailableError("firestore") from exc
