"""Classification of Cloud Storage's errors that mean it is unreachable."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.cloud.storage.exceptions import DataCorruption

from common.domain.errors import DependencyUnavailableError

_UNREACHABLE = (
    google_errors.ServerError,
    google_errors.TooManyRequests,
    google_errors.RetryError,
    requests.exceptions.RequestException,
    auth_errors.TransportError,
    ConnectionError,
    DataCorruption,
)


@contextmanager
def translated_storage_errors() -> Iterator[None]:
    """Convert errors that mean the bucket is unreachable to DependencyUnavailableError."""
    try:
        yield
    except _UNREACHABLE as exc:
        raise DependencyUnavailableError("storage") from exc
