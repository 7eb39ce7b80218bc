"""Which of Cloud Storage's errors mean "later perhaps"."""

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
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    auth_errors.TransportError,
    ConnectionError,
    DataCorruption,
)


@contextmanager
def translated_storage_errors() -> Iterator[None]:
    """Raise DependencyUnavailableError for what another try may cure, and let the rest pass as it is."""
    try:
        yield
    except _UNAVAILABLE as exc:
        raise DependencyUnavailableError("cloud_storage") from exc
    except google_errors.GoogleAPICallError as exc:
        if exc.code != HTTPStatus.REQUEST_TIMEOUT:  # which has no class of its own
            raise
        raise DependencyUnavailableError("cloud_storage") from exc
