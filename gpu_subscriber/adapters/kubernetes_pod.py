"""The pod of this process, through the Kubernetes API."""

from pathlib import Path

import requests

from common.domain.errors import DependencyUnavailableError

CLUSTER_API = "https://kubernetes.default.svc"
CLUSTER_ACCESS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Path of the projected volume with the service account's token and the API's CA certificate."""
_REMOVAL_COST = "controller.kubernetes.io/pod-deletion-cost"
_TIMEOUT_SECONDS = 5.0


class KubernetesPod:
    """The OwnPod of production. It only needs the permission to patch pods."""

    def __init__(
        self, *, name: str, namespace: str, api: str = CLUSTER_API, access: Path = CLUSTER_ACCESS
    ) -> None:
        self._url = f"{api}/api/v1/namespaces/{namespace}/pods/{name}"
        self._access = access
        self._session = requests.Session()
        self._session.trust_env = False  # do not send the token through a proxy for the internet

    def set_deletion_cost(self, cost: int) -> None:
        try:
            token = (self._access / "token").read_text()  # read on each call, because the kubelet renews it
            answer = self._session.patch(
                self._url,
                json={"metadata": {"annotations": {_REMOVAL_COST: str(cost)}}},
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": "application/merge-patch+json",
                },
                verify=str(self._access / "ca.crt"),
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except (OSError, requests.RequestException) as exc:
            raise DependencyUnavailableError("kubernetes", f"was not reached: {type(exc).__name__}") from exc
        if answer.status_code != requests.codes.ok:
            raise DependencyUnavailableError("kubernetes", f"answered {answer.status_code}")
