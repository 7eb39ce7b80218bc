"""CloudRunWorkerPool: the manual instance count of a worker pool, through Cloud Run's Admin API."""

from typing import Any

import google.auth
import requests
from google.auth import exceptions as auth_errors
from google.auth.transport.requests import AuthorizedSession

from common.domain.errors import DependencyUnavailableError

ADMIN_API = "https://run.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_FIELD = "scaling.manualInstanceCount"


class CloudRunWorkerPool:
    """The WorkerPool of production. It needs run.workerPools.get and run.workerPools.update on the pool."""

    def __init__(
        self,
        name: str,
        *,
        session: requests.Session | None = None,
        api: str = ADMIN_API,
        timeout_seconds: float = 10.0,
    ) -> None:
        """`name` is the resource name, `projects/…/locations/…/workerPools/…`."""
        self._url = f"{api}/v2/{name}"
        self._session = session
        self._timeout = timeout_seconds

    def instances(self) -> int:
        pool = self._call("GET")
        # Zero may be omitted, as JSON of protocol buffers allows.
        return int(pool.get("scaling", {}).get("manualInstanceCount", 0))

    def set_instances(self, count: int) -> None:
        operation = self._call(
            "PATCH", params={"updateMask": _FIELD}, json={"scaling": {"manualInstanceCount": count}}
        )
        # The operation continues until the instances run; only its start can fail here.
        if "error" in operation:
            raise DependencyUnavailableError("cloud_run", str(operation["error"].get("message", "failed")))

    def _call(self, method: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._authorized().request(
                method, self._url, timeout=self._timeout, allow_redirects=False, **options
            )
        except (requests.RequestException, auth_errors.GoogleAuthError) as error:
            raise DependencyUnavailableError(
                "cloud_run", f"was not reached: {type(error).__name__}"
            ) from error
        if response.status_code != requests.codes.ok:
            raise DependencyUnavailableError("cloud_run", f"answered {response.status_code}")
        return response.json()

    def _authorized(self) -> requests.Session:
        if self._session is None:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
            self._session = AuthorizedSession(credentials)
        return self._session
