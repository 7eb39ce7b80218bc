"""Classification of Cloud Storage's errors: which may succeed on a retry."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import requests
from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.cloud.storage.exceptions import DataCorruption

from common.domain.errors import DependencyUnavailableError

_UNAVAILABLE = (
    google_errors.ServerError,
    google_errors.TooManyRequests,
    google_errors.RetryError,
    requests.exceptions.RequestException,
    auth_errors.TransportError,
    auth_errors.RefreshError,  # the metadata server returns no access token
    ConnectionError,
    DataCorruption,
)


@contextmanager
def translated_storage_errors() -> Iterator[None]:
    """Convert transient errors to DependencyUnavailableError; other errors pass unchanged."""
    try:
        yield
    except _UNAVAILABLE as exc:
        raise DependencyUnavailableError("storage") from exc
    except google_errors.GoogleAPICallError as exc:
        if exc.code != HTTPStatus.REQUEST_TIMEOUT:  # this status has no exception class
            raise
        raise DependencyUnavailableError("storage") from exc
