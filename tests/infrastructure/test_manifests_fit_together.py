"""Checks beyond the schemas: references between manifests, and the worker's behaviour."""

import re
import threading
import urllib.request
from typing import Any

import pytest
import yaml

from gpu_subscriber.settings import WorkerSettings
from gpu_subscriber.worker.health import HealthServer
from gpu_subscriber.worker.worker import WorkerState
from tests.infrastructure.kustomizations import K8S, POOLS, Build, Manifest, built, pool
from tests.infrastructure.terraform_files import text

GOODBYE_SECONDS = 7
SPOT_NOTICE_SECONDS = 15

each_pool = pytest.mark.parametrize("build", [pytest.param(name, id=name) for name in POOLS], indirect=True)


@pytest.fixture
def build(request: pytest.FixtureRequest) -> Build:
    return pool(request.param)


def settings_of(build: Build, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """Return the settings with which a pod of this pool would start."""
    for name, value in build.environment.items():
        monkeypatch.setenv(name, value)
    return WorkerSettings()


def names(folder: str, kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in built(folder).all(kind)}


def selects(selector: Manifest, build: Build) -> bool:
    labels: dict[str, str] = build.pod["metadata"]["labels"]
    return bool(selector["matchLabels"].items() <= labels.items())


@each_pool
def test_objects_that_a_pool_refers_to_exist(build: Build) -> None:
    spec, scaled = build.pod["spec"], build.one("ScaledObject")["spec"]
    assert build.worker["envFrom"] == [{"configMapRef": {"name": build.one("ConfigMap")["metadata"]["name"]}}]
    assert scaled["scaleTargetRef"] == {"name": build.one("Deployment")["metadata"]["name"]}
    assert {spec["serviceAccountName"]} == names("shared", "ServiceAccount")
    assert {spec["priorityClassName"]} == names("shared", "PriorityClass")
    asked_with = {trigger["authenticationRef"]["name"] for trigger in scaled["triggers"]}
    assert asked_with == names("shared", "TriggerAuthentication")
    assert {manifest["metadata"]["namespace"] for manifest in build.manifests} == names("shared", "Namespace")


@each_pool
def test_selectors_select_only_the_pools_own_pods(build: Build) -> None:
    own = [build.one("Deployment")["spec"]["selector"], build.one("PodDisruptionBudget")["spec"]["selector"]]
    own += [spread["labelSelector"] for spread in build.pod["spec"]["topologySpreadConstraints"]]
    assert all(selects(selector, build) for selector in own)
    others = [pool(name) for name in POOLS if pool(name) is not build]
    assert not [other for other in others for selector in own if selects(selector, other)]
    assert selects(built("shared").one("NetworkPolicy")["spec"]["podSelector"], build)


@each_pool
def test_variables_of_a_pool_are_a_valid_configuration(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"DARKROOM_{name.upper()}" for name in WorkerSettings.model_fields}
    assert {name for name in build.environment if name.startswith("DARKROOM_")} <= known
    settings = settings_of(build, monkeypatch)
    assert settings.models
    (port,) = build.worker["ports"]
    assert (port["containerPort"], port["name"]) == (settings.health_port, "health")
    assert (settings.pod_name, settings.pod_namespace) == ("metadata.name", "metadata.namespace")


@each_pool
def test_fallback_trigger_counts_the_pools_own_subscription(build: Build) -> None:
    (net,) = [t for t in build.one("ScaledObject")["spec"]["triggers"] if t["type"] == "prometheus"]
    assert f'subscription_id="{build.environment["DARKROOM_SUBSCRIPTION"]}"' in net["metadata"]["query"]
    assert f"/projects/{build.environment['DARKROOM_PROJECT_ID']}/" in net["metadata"]["serverAddress"]


def test_pools_have_distinct_subscriptions() -> None:
    assert len({pool(name).environment["DARKROOM_SUBSCRIPTION"] for name in POOLS}) == len(POOLS)


@each_pool
def test_grace_period_covers_the_drain_within_the_spot_notice(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace = build.pod["spec"]["terminationGracePeriodSeconds"]
    assert grace == settings_of(build, monkeypatch).drain_deadline_seconds + GOODBYE_SECONDS
    if build.pod["spec"]["nodeSelector"].get("cloud.google.com/gke-spot"):
        assert grace <= SPOT_NOTICE_SECONDS


@each_pool
def test_probes_wait_longer_than_the_worker_may_take(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def longest(probe: str) -> int:
        seconds: int = build.worker[probe]["periodSeconds"] * build.worker[probe]["failureThreshold"]
        return seconds

    settings = settings_of(build, monkeypatch)
    assert longest("startupProbe") > settings.engine_loading_seconds
    assert longest("livenessProbe") >= settings.lease_seconds
    assert build.one("Deployment")["spec"]["progressDeadlineSeconds"] > longest("startupProbe")


@each_pool
def test_probes_request_paths_that_the_worker_serves(build: Build) -> None:
    state = WorkerState(alive=True, ready=True, draining=False, stream_open=True, engine=None, active_tasks=0)
    server = HealthServer("127.0.0.1", 0, lambda: state)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = build.worker[probe]["httpGet"]["path"]
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=60) as answer:
                assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()


@each_pool
def test_worker_pods_have_no_needless_privileges(build: Build) -> None:
    pod, worker = build.pod["spec"], build.worker["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert worker["readOnlyRootFilesystem"]
    assert worker["allowPrivilegeEscalation"] is False
    assert worker["capabilities"] == {"drop": ["ALL"]}
    writable = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    for mount in build.worker["volumeMounts"]:
        assert mount.get("readOnly") or mount["name"] in writable
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@each_pool
def test_worker_has_one_gpu_and_a_rollout_keeps_workers_running(build: Build) -> None:
    resources: dict[str, Any] = build.worker["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == "1"
    assert resources["limits"]["memory"] == resources["requests"]["memory"]
    rolling = build.one("Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": "25%"}
    assert "replicas" not in build.one("Deployment")["spec"]


def test_compute_class_prefers_spot_and_matches_its_nodes() -> None:
    (path,) = (K8S / "compute_classes").glob("*.yaml")
    (manifest,) = yaml.safe_load_all(path.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("cloud.google.com/v1", "ComputeClass")
    spec = manifest["spec"]
    assert spec.keys() == {"priorities", "activeMigration", "nodePoolAutoCreation", "whenUnsatisfiable"}
    guide = (K8S.parents[1] / "docs" / "operating" / "deploy.md").read_text()
    pools = re.findall(
        rf'^     (\S+)\s+= \{{.*compute_class = "{manifest["metadata"]["name"]}"', guide, re.MULTILINE
    )
    assert [name for each in spec["priorities"] for name in each["nodepools"]] == pools == ["l4-spot", "l4"]
    assert 'compute_class_key = "cloud.google.com/compute-class"' in text("gpu_pools.tf")


@pytest.mark.parametrize("folder", ["shared", *(f"overlays/{name}" for name in POOLS)])
def test_kustomizations_replace_every_parameter(folder: str) -> None:
    lines = (K8S / "environment" / "parameters.env").read_text().splitlines()
    parameters = dict(line.split("=", 1) for line in lines)
    text = built(folder).text
    assert not [
        placeholder
        for placeholder in (*parameters, "/PROJECT_ID/", "=MODEL", '"SUBSCRIPTION"')
        if placeholder in text
    ]
    wanted = {"WORKER_SERVICE_ACCOUNT"} if folder == "shared" else {"WORKER_IMAGE", "API_HOST"}
    if "csi:" in text:
        wanted.add("WEIGHTS_BUCKET")
    assert not [name for name in wanted if parameters[name] not in text]
