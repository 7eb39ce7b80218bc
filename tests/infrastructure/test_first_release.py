"""The scripts of cloudbuild.yaml, run against stand-ins of gcloud, kubectl and docker.

The stand-ins behave as Google's and Kubernetes' documentation describes: a Deployment without a
number of replicas is created with one, and a roll-out without a free GPU times out.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import yaml

from tests.infrastructure.dockerfiles import ROOT
from tests.infrastructure.kustomizations import POOLS, pool

BUILD: dict[str, Any] = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in BUILD["steps"]}
STAND_INS = ROOT / "tests" / "infrastructure" / "stand_ins"
PLACEHOLDER, PREVIOUS = "darkroom-api-00000-abc", "darkroom-api-00001-xyz"
RESPONSES = {
    "/": (200, "<script>"),
    "/config.json": (200, '{"project_id": "p"}'),
    "/openapi.json": (200, '{"openapi": "3.1.0"}'),
    "/v1/models": (401, '{"code": "unauthenticated"}'),
}


@dataclass(slots=True)
class Cloud:
    """A project after `terraform apply`, and the copy of the sources that a build gets."""

    folder: Path
    url: str
    canary_responds: threading.Event = field(default_factory=threading.Event)
    canary_is_called: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        (self.folder / "state.json").write_text(json.dumps(state))

    @property
    def serving(self) -> str:
        """The revision with the traffic."""
        revision: str = self.state["service"]["serving"]
        return revision

    @property
    def tags(self) -> set[str]:
        """The tags, at whose URLs everyone can call a revision."""
        return set(self.state["service"]["tags"])

    def deployment(self, name: str) -> dict[str, Any]:
        deployment: dict[str, Any] = self.state["deployments"][f"darkroom-worker-{name}"]
        return deployment

    def was_released(self) -> None:
        """Set the state after a release, with two workers in the first pool and none in the others."""
        state = self.state
        state["service"]["revisions"][PREVIOUS] = "darkroom-api@sha256:0"
        state["service"] |= {"serving": PREVIOUS, "tags": {"canary": PREVIOUS}}
        for name in POOLS:
            deployment = {"replicas": 2 if name == POOLS[0] else 0, "revision": 1, "pods": 0}
            state["deployments"][f"darkroom-worker-{name}"] = deployment
        self.state = state

    def release(self, *, gpus: str, first_step: str = "canary") -> tuple[str | None, str]:
        """Run the scripts from this step on until one fails. Return the failed step, and the log."""
        for image in ("api", "worker"):
            (self.folder / "workspace" / f"{image}.image").write_text(f"darkroom-{image}@sha256:1\n")
        log = ""
        names = list(STEPS)
        for name in names[names.index(first_step) :]:
            if "script" not in STEPS[name]:
                continue
            tags_before = self.tags
            with self.step(name, gpus=gpus) as process:
                log += process.communicate(timeout=120)[0]
            assert self.tags <= tags_before, f"{name} leaves a revision that everyone can call"
            if process.returncode:
                return name, log
        return None, log

    def step(self, name: str, *, gpus: str = "none") -> "subprocess.Popen[str]":
        """Start the script of a step."""
        script: str = STEPS[name]["script"].replace("/workspace/", f"{self.folder}/workspace/")
        return subprocess.Popen(
            ["bash", "-c", script], cwd=self.folder / "sources", env=self.environment(gpus),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def environment(self, gpus: str = "none") -> dict[str, str]:
        image = "europe-west4-docker.pkg.dev/p/darkroom/darkroom"
        return {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "CLOUD_STATE": str(self.folder / "state.json"),
            "CLOUD_GPUS": gpus,
            "no_proxy": "127.0.0.1",
            **BUILD["substitutions"], "_POOLS": " ".join(POOLS),
            "_API_IMAGE": f"{image}-api:1", "_WORKER_IMAGE": f"{image}-worker:1",
        }  # fmt: skip


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "bin").mkdir()
    for name, file in {
        "python3": "",
        "gcloud": STAND_INS / "gcloud",
        "kubectl": STAND_INS / "kubectl",
    }.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {file} "$@"\n')
        program.chmod(0o755)
    (tmp_path / "bin" / "docker").symlink_to(STAND_INS / "docker")
    sources = tmp_path / "sources"
    shutil.copytree(ROOT / "scripts", sources / "scripts")
    shutil.copytree(ROOT / "gpu_subscriber" / "k8s", sources / "gpu_subscriber" / "k8s")
    for file in (sources / "gpu_subscriber" / "k8s" / "environment").glob("*.env"):
        file.write_text(file.read_text().replace("example-project", "p"))
    cloud = Cloud(folder=tmp_path, url="")
    cloud.canary_responds.set()

    class Service(BaseHTTPRequestHandler):
        """Google's placeholder responds 200 to every path; a revision of darkroom as the API does."""

        def do_GET(self) -> None:
            service = cloud.state["service"]
            path = self.path.removeprefix("/canary") or "/"
            is_canary = path != self.path or self.headers["X-Darkroom-Revision"] == "canary"
            if is_canary:
                cloud.canary_is_called.set()
                cloud.canary_responds.wait(60)
            is_placeholder = not is_canary and cloud.serving == PLACEHOLDER
            status, text = (200, "It's running!") if is_placeholder else RESPONSES[path.removeprefix("/lb")]
            if service["ingress"] != "all" and not path.startswith("/lb"):
                status, text = 404, "Page not found"
            elif path.startswith("/lb") and service["refuses_build"]:
                status, text = 403, "Forbidden"
            elif is_canary and service["canary_is_open"]:
                status, text = 200, ""
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    cloud.url = f"http://127.0.0.1:{server.server_port}"
    cloud.state = {
        "service": {
            "url": cloud.url,
            "public_url": f"{cloud.url}/lb",
            "ingress": "all",
            "refuses_build": False,
            "canary_is_open": False,
            "revisions": {PLACEHOLDER: "us-docker.pkg.dev/cloudrun/container/hello"},
            "serving": PLACEHOLDER,
            "tags": {},
        },
        "deployments": {},
        "manifests": {name: pool(name).text for name in POOLS},
        "keda": "running",
        "finalizers": [
            "scaledobject.keda.sh/darkroom-worker-l4-spot",
            "triggerauthentication.keda.sh/darkroom-api",
        ],
    }
    yield cloud
    cloud.canary_responds.set()
    server.shutdown()
    server.server_close()


def test_first_release_without_gpus_routes_traffic_and_starts_no_worker(cloud: Cloud) -> None:
    assert cloud.release(gpus="none", first_step="push") == (None, ANY)
    assert cloud.serving == PREVIOUS
    assert [(cloud.deployment(name)["replicas"], cloud.deployment(name)["pods"]) for name in POOLS] == [
        (0, 0) for _ in POOLS
    ]


@pytest.mark.parametrize("refuses_build", [False, True], ids=["admitted", "other-country"])
def test_first_release_behind_a_load_balancer_routes_traffic(cloud: Cloud, refuses_build: bool) -> None:
    state = cloud.state
    state["service"] |= {"ingress": "internal-and-cloud-load-balancing", "refuses_build": refuses_build}
    cloud.state = state
    failed, log = cloud.release(gpus="none")
    assert (failed, cloud.serving) == (None, PREVIOUS)
    assert ("its load balancer refuses this machine" in log) == refuses_build


def test_first_release_gets_its_traffic_before_the_workers(cloud: Cloud) -> None:
    shutil.rmtree(cloud.folder / "sources" / "gpu_subscriber")
    assert cloud.release(gpus="none")[0] == "workers"
    assert cloud.serving == PREVIOUS


def test_release_with_updated_workers_routes_traffic(cloud: Cloud) -> None:
    cloud.was_released()
    failed, log = cloud.release(gpus="some")
    assert (failed, "WAITING" in log) == (None, False)
    assert log.rstrip().endswith(f"--region=europe-west4 --to-revisions={PREVIOUS}=100")
    assert cloud.serving != PREVIOUS
    assert cloud.deployment(POOLS[0])["replicas"] == 2
    assert cloud.tags == set()


def test_canary_that_fails_its_test_is_not_public_afterwards(cloud: Cloud) -> None:
    cloud.was_released()
    state = cloud.state
    state["service"]["canary_is_open"] = True
    cloud.state = state
    failed, log = cloud.release(gpus="some")
    assert (failed, cloud.serving, cloud.tags) == ("smoke-test", PREVIOUS, set())
    assert "/v1/models 200 instead of 401" in log


def test_tag_is_removed_when_two_tries_fail(cloud: Cloud) -> None:
    cloud.was_released()
    gcloud = cloud.folder / "bin" / "gcloud"
    works = gcloud.read_text().splitlines()[-1]
    tries = cloud.folder / "tries"
    fails_twice = f'echo >>"{tries}"; [ "$(wc -l <"{tries}")" -gt 2 ] || exit 1'
    gcloud.write_text(f'#!/bin/sh\ncase "$*" in *--remove-tags=canary*) {fails_twice} ;; esac\n{works}\n')
    (cloud.folder / "workspace" / "api.revision").write_text(PREVIOUS)
    with cloud.step("smoke-test") as process:
        process.communicate(timeout=60)
    assert (process.returncode, cloud.tags) == (0, set())


def test_canary_is_not_public_after_a_cancelled_build(cloud: Cloud) -> None:
    cloud.was_released()
    cloud.canary_responds.clear()
    (cloud.folder / "workspace" / "api.revision").write_text(PREVIOUS)
    with cloud.step("smoke-test") as process:
        assert cloud.canary_is_called.wait(60)
        assert cloud.tags == {"canary"}
        process.terminate()
        assert process.wait(60) != 0
        assert cloud.tags == set()
        cloud.canary_responds.set()


def test_release_stops_if_the_tag_cannot_be_removed(cloud: Cloud) -> None:
    gcloud = cloud.folder / "bin" / "gcloud"
    works = gcloud.read_text().splitlines()[-1]
    gcloud.write_text(f'#!/bin/sh\ncase "$*" in *--remove-tags*) exit 1 ;; esac\n{works}\n')
    with pytest.raises(AssertionError, match="smoke-test leaves a revision"):
        cloud.release(gpus="none")
    with cloud.step("smoke-test") as process:
        assert process.wait(60) == 1


def test_release_reports_workers_without_a_node_and_routes_traffic(cloud: Cloud) -> None:
    cloud.was_released()
    failed, log = cloud.release(gpus="none")
    assert failed is None
    assert f"{POOLS[0]}: WAITING FOR CAPACITY: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu." in log
    assert cloud.serving != PREVIOUS


def test_release_with_failing_workers_undoes_every_pool_and_keeps_traffic(cloud: Cloud) -> None:
    cloud.was_released()
    failed, log = cloud.release(gpus="broken")
    assert failed == "workers"
    assert f"{POOLS[0]}: the new workers do not become ready" in log
    assert cloud.serving == PREVIOUS
    assert all(cloud.deployment(name)["undone"] for name in POOLS)


def test_release_with_refused_manifests_undoes_the_pools_before(cloud: Cloud) -> None:
    cloud.was_released()
    cloud.state = {**cloud.state, "refused": POOLS[-1]}
    failed, _ = cloud.release(gpus="some")
    assert (failed, cloud.serving) == ("workers", PREVIOUS)
    assert [cloud.deployment(name).get("undone", False) for name in POOLS] == [
        name != POOLS[-1] for name in POOLS
    ]


@pytest.mark.parametrize("keda", ["running", "stopped", "none"])
def test_removal_of_workers_leaves_nothing_that_waits_for_keda(cloud: Cloud, keda: str) -> None:
    cloud.was_released()
    cloud.state = {
        **cloud.state,
        "keda": keda,
        "finalizers": cloud.state["finalizers"] if keda != "none" else [],
    }
    done = subprocess.run(
        [ROOT / "scripts" / "remove_workers"], env=cloud.environment(), timeout=120, check=False,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (cloud.state["finalizers"], cloud.state["deployments"]) == ([], {})
