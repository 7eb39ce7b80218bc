"""Retryable errors of Cloud Storage: none of them may end an attempt like a crash of the worker."""

from http import HTTPStatus

import pytest
import requests
from google.api_core.exceptions import from_http_status
from google.auth.compute_engine import Credentials
from google.auth.exceptions import TransportError
from google.cloud.storage.exceptions import DataCorruption

from common.adapters.gcs_errors import translated_storage_errors
from common.domain.errors import DependencyUnavailableError


@pytest.mark.parametrize(
    "error",
    [
        from_http_status(HTTPStatus.REQUEST_TIMEOUT, "the upload was too slow"),
        from_http_status(HTTPStatus.TOO_MANY_REQUESTS, "slow down"),
        from_http_status(HTTPStatus.SERVICE_UNAVAILABLE, "later"),
        requests.exceptions.ConnectionError("reset"),
        DataCorruption(None, "the checksum of what arrived is another"),
    ],
    ids=lambda error: getattr(error, "code", None) or type(error).__name__,
)
def test_transient_storage_error_is_dependency_unavailable(error: Exception) -> None:
    with pytest.raises(DependencyUnavailableError), translated_storage_errors():
        raise error


def test_token_that_cannot_be_renewed_is_dependency_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda _seconds: None)

    def metadata_server(**_request: object) -> None:
        raise TransportError("connection refused")

    with pytest.raises(DependencyUnavailableError), translated_storage_errors():
        Credentials().refresh(metadata_server)


@pytest.mark.parametrize(
    "status", [HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED]
)
def test_permanent_storage_error_is_propagated(status: HTTPStatus) -> None:
    error = from_http_status(status, "no")
    with pytest.raises(type(error)), translated_storage_errors():
        raise error
