"""The worker's manifests as kubectl or kustomize builds them, for the tests that read them."""

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parents[2] / "gpu_subscriber" / "k8s"
POOLS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))
BUILDS = ("shared", *(f"overlays/{pool}" for pool in POOLS))
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Build:
    """The result of building one kustomization."""

    text: str
    manifests: tuple[Manifest, ...]

    def one(self, kind: str) -> Manifest:
        """Return the only manifest of this kind."""
        (manifest,) = self.all(kind)
        return manifest

    def all(self, kind: str) -> list[Manifest]:
        """Return every manifest of this kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    @property
    def pod(self) -> Manifest:
        """The template of the Deployment's pods."""
        template: Manifest = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def worker(self) -> Manifest:
        """The worker's container."""
        (container,) = self.pod["spec"]["containers"]
        worker: Manifest = container
        return worker

    @property
    def environment(self) -> dict[str, str]:
        """The worker's variables; for those that the cluster sets, the path of the field."""
        settings: dict[str, str] = dict(self.one("ConfigMap")["data"])
        for variable in self.worker["env"]:
            field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            settings[variable["name"]] = field or variable["value"]
        return settings


@functools.cache
def built(folder: str) -> Build:
    """Build a folder of `gpu_subscriber/k8s` or an absolute one; skip the test without a build tool."""
    commands = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}
    command = next((command for name, command in commands.items() if shutil.which(name)), None)
    if command is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    text = subprocess.run(
        [*command, str(K8S / folder)], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return Build(text, tuple(yaml.safe_load_all(text)))


def pool(name: str) -> Build:
    """Build one pool of workers."""
    return built(f"overlays/{name}")
