"""The documented commands for removal and a second deployment, run against stand-ins of terraform and kubectl."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.dockerfiles import ROOT
from tests.infrastructure.terraform_files import TERRAFORM, parsed

STAND_INS = ROOT / "tests" / "infrastructure" / "stand_ins"
GUIDE = (ROOT / "docs" / "operating" / "deploy.md").read_text()
REMOVAL, SECOND_APPLY = re.findall(
    r"^```sh\n(.*?)^```", GUIDE.partition("\n## Removal\n")[2], re.MULTILINE | re.DOTALL
)[:2]
SCRIPT, LIFT_PROTECTION, DESTROY = REMOVAL.strip().splitlines()
PROTECTIONS = ("delete_protection_state", "deletion_policy", "deletion_protection", "force_destroy")


def terraform_resources() -> dict[str, dict[str, Any]]:
    return {
        f"{kind}.{name}": block
        for path in sorted(TERRAFORM.glob("*.tf"))
        for resource in parsed(path.name).get("resource", [])
        for kind, named in resource.items()
        for name, block in named.items()
    }


RESOURCES = terraform_resources()
PROTECTABLE = [
    address
    for address, block in RESOURCES.items()
    if any(
        re.search(r"var\.deletion_protection|local\.deletion_policy", str(block.get(name)))
        for name in PROTECTIONS
    )
]
"""The resources that the variable deletion_protection protects."""


@dataclass(slots=True)
class Project:
    """A project with a deployment, which serves with two pools of workers."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state

    def change(self, **fields: object) -> None:
        (self.folder / "state.json").write_text(json.dumps({**self.state, **fields}))

    def run(self, commands: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=ROOT, timeout=120, check=False, text=True,
            env={
                **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "CLOUD_STATE": str(self.folder / "state.json"), "ENVIRONMENT": "prod", "PROJECT": "p",
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "bin").mkdir()
    for name in ("kubectl", "terraform"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {STAND_INS / name} "$@"\n')
        program.chmod(0o755)
    state = {
        "resources": list(RESOURCES), "protectable": PROTECTABLE,
        "applied": dict.fromkeys(RESOURCES, False) | dict.fromkeys(PROTECTABLE, True),
        "identity_platform": True, "database_name_is_taken": False,
        "deployments": {"darkroom-worker-l4-spot": {}, "darkroom-worker-a100": {}}, "keda": "running",
        "finalizers": ["scaledobject.keda.sh/darkroom-worker-l4-spot", "triggerauthentication.keda.sh/darkroom-api"],
    }  # fmt: skip
    (tmp_path / "state.json").write_text(json.dumps(state))
    return Project(tmp_path)


def test_documented_removal_destroys_everything(project: Project) -> None:
    done = project.run(REMOVAL)
    assert done.returncode == 0, done.stdout
    state = project.state
    assert (state["applied"], state["deployments"], state["finalizers"]) == ({}, {}, [])
    assert project.run(f"{SCRIPT}\n{DESTROY}").returncode == 0, "they can be repeated"


def test_destroy_waits_for_kedas_finalizers_without_the_documented_script(project: Project) -> None:
    done = project.run(f"{LIFT_PROTECTION}\n{DESTROY}")
    assert (done.returncode, "context deadline exceeded" in done.stdout) == (1, True)
    done = project.run(f"{SCRIPT}\n{DESTROY}")  # KEDA no longer runs: the script removes its finalizers
    assert done.returncode == 0, done.stdout
    assert (project.state["applied"], project.state["finalizers"]) == ({}, [])


def test_destroy_refuses_protected_resources(project: Project) -> None:
    done = project.run(f"{SCRIPT}\n{DESTROY}")
    assert (done.returncode, "deletion_protection=false" in done.stdout) == (1, True)
    assert project.state["applied"]


def test_documented_second_apply_imports_identity_platform(project: Project) -> None:
    assert project.run(REMOVAL).returncode == 0
    project.change(database_name_is_taken=False)
    without = project.run(SECOND_APPLY.replace("-var=identity_platform_enabled=true", ""))
    assert (without.returncode, "Identity Platform has already" in without.stdout) == (1, True)
    project.change(database_name_is_taken=True)
    early = project.run(SECOND_APPLY)
    assert (early.returncode, "'(default)' is not available" in early.stdout) == (1, True)
    project.change(database_name_is_taken=False)
    done = project.run(SECOND_APPLY)
    assert done.returncode == 0, done.stdout
    assert set(project.state["applied"]) == set(RESOURCES)
    again = project.run(SECOND_APPLY)
    assert again.returncode == 0, again.stdout


def test_removal_names_every_kind_of_protected_resource() -> None:
    table = GUIDE.partition("| protected while")[2].partition("\n\n")[0]
    named = {
        "google_artifact_registry_repository": "the images' repository",
        "google_cloud_run_v2_service": "the API",
        "google_cloud_run_v2_worker_pool": "Cloud Run's workers",
        "google_container_cluster": "the cluster",
        "google_firestore_database": "Firestore's database",
        "google_pubsub_subscription": "subscriptions",
        "google_pubsub_topic": "topics",
        "google_secret_manager_secret": "secrets",
        "google_storage_bucket": "buckets",
    }
    assert {address.partition(".")[0] for address in PROTECTABLE} == set(named)
    assert [words for words in named.values() if words not in table] == []
