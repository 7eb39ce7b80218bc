"""The pod's own annotation, written over TLS to a stand-in for the cluster's API."""

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.domain.errors import DependencyUnavailableError
from gpu_subscriber.adapters.kubernetes_pod import KubernetesPod
from tests.fakes.kubernetes_api import POD, TOKEN, make_certificate

REMOVAL_COST = "controller.kubernetes.io/pod-deletion-cost"


class Cluster:
    """A running API server, and the files that the kubelet mounts into a pod."""

    def __init__(self, access: Path, port: int) -> None:
        self.access = access
        self.api = f"https://127.0.0.1:{port}"
        (access / "token").write_text(TOKEN)

    def pod(self, name: str = "worker-1") -> KubernetesPod:
        return KubernetesPod(name=name, namespace="darkroom", api=self.api, access=self.access)

    def annotations(self) -> dict[str, str]:
        trusted = ssl.create_default_context(cafile=str(self.access / "ca.crt"))
        with urllib.request.urlopen(self.api + POD, context=trusted, timeout=60) as answer:
            annotations: dict[str, str] = json.load(answer)["metadata"]["annotations"]
            return annotations


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    access = tmp_path_factory.mktemp("access")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.kubernetes_api", access], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    yield Cluster(access, int(server.stdout.readline()))
    server.kill()
    server.communicate()


def test_deletion_cost_is_set_beside_other_annotations(cluster: Cluster) -> None:
    cluster.pod().set_deletion_cost(3)
    assert cluster.annotations() == {"kept": "as it was", REMOVAL_COST: "3"}


def test_renewed_token_is_read_again(cluster: Cluster) -> None:
    pod = cluster.pod()
    (cluster.access / "token").write_text("expired")
    with pytest.raises(DependencyUnavailableError, match="kubernetes answered 401"):
        pod.set_deletion_cost(1)
    (cluster.access / "token").write_text(TOKEN)
    pod.set_deletion_cost(1)
    assert cluster.annotations()[REMOVAL_COST] == "1"


def test_patch_of_another_pod_is_forbidden(cluster: Cluster) -> None:
    with pytest.raises(DependencyUnavailableError, match="kubernetes answered 403"):
        cluster.pod("worker-2").set_deletion_cost(1)


def test_server_of_another_authority_gets_no_token(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    make_certificate(tmp_path)
    pod = KubernetesPod(name="worker-1", namespace="darkroom", api=cluster.api, access=tmp_path)
    with pytest.raises(DependencyUnavailableError, match="SSLError"):
        pod.set_deletion_cost(1)


def test_missing_token_is_dependency_unavailable(tmp_path: Path) -> None:
    pod = KubernetesPod(name="worker-1", namespace="darkroom", access=tmp_path)
    with pytest.raises(DependencyUnavailableError, match="FileNotFoundError"):
        pod.set_deletion_cost(1)
