"""The committed examples agree: Terraform's environments, the manifests' environment, the overlays."""

import re
from pathlib import Path
from typing import Any

import pytest

from common.shared_values import SHARED
from tests.infrastructure.kustomizations import K8S, POOLS, pool
from tests.infrastructure.terraform_files import TERRAFORM, block, local, parsed, resources, text

PROJECT = "example-project"
ENVIRONMENTS = sorted(path.stem for path in (TERRAFORM / "environments").glob("*.tfvars"))

each_environment = pytest.mark.parametrize("environment", ENVIRONMENTS)
each_pool = pytest.mark.parametrize("name", POOLS)


def variables_of(environment: str) -> dict[str, Any]:
    """Return an environment's variables as nested dicts and lists."""
    return parsed(f"environments/{environment}.tfvars")


def example(file: str) -> dict[str, str]:
    """Return one of the two files of the manifests' environment."""
    lines = (K8S / "environment" / file).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def of_example(pattern: str) -> str:
    """Return one of Terraform's names in the example's project."""
    return pattern.replace("${var.project_id}", PROJECT)


def test_environment_files_match_terraforms_names() -> None:
    settings, parameters = example("settings.env"), example("parameters.env")
    assert settings["DARKROOM_PROJECT_ID"] == PROJECT
    assert settings["DARKROOM_IMAGES_BUCKET"] == of_example(local("storage.tf", "images_bucket"))
    assert parameters["WEIGHTS_BUCKET"] == of_example(local("storage.tf", "weights_bucket"))
    worker = resources("google_service_account")["worker"]["account_id"]
    assert parameters["WORKER_SERVICE_ACCOUNT"] == f"{worker}@{PROJECT}.iam.gserviceaccount.com"
    region = block("variables.tf", "variable", "region")["default"]
    host = rf"{local('api.tf', 'api_name')}-\d{{12}}\.{region}\.run\.app"
    assert re.fullmatch(host, parameters["API_HOST"])


@each_environment
def test_zones_of_an_environment_are_in_its_region(environment: str) -> None:
    variables = variables_of(environment)
    zones = [zone for nodes in variables["gpu_pools"].values() for zone in nodes.get("zones", [])]
    zones += variables.get("cluster", {}).get("zones", [])
    assert zones
    assert [zone for zone in zones if not zone.startswith(f"{variables['region']}-")] == []


@each_environment
def test_workers_select_nodes_of_the_environments_pools(environment: str) -> None:
    for name, nodes in variables_of(environment)["gpu_pools"].items():
        wanted = pool(name).pod["spec"]["nodeSelector"]
        assert wanted["cloud.google.com/gke-accelerator"] == nodes["accelerator"]
        spot = nodes.get("spot", True)
        assert (wanted.get("cloud.google.com/gke-spot") == "true") == spot
        tolerated = {toleration["key"] for toleration in pool(name).pod["spec"]["tolerations"]}
        assert {taint["key"] for taint in nodes.get("taints", [])} <= tolerated


@each_pool
def test_overlay_pulls_from_a_subscription_of_the_prod_environment(name: str) -> None:
    pools = (
        variables_of("prod").get("model_pools")
        or block("variables_workers.tf", "variable", "model_pools")["default"]
    )
    environment = pool(name).environment
    made = {f"{SHARED.topics.tasks}-{key}": models for key, models in pools.items()}
    assert made[environment["DARKROOM_SUBSCRIPTION"]] == environment["DARKROOM_MODELS"].split(",")


def test_pods_and_cloud_run_workers_get_the_same_settings() -> None:
    settings = "merge(local.worker_settings, local.prices"
    assert settings in text("outputs.tf")
    assert settings in text("cloud_run_workers.tf")


def test_builds_upload_the_gitignore_file() -> None:
    """Without it, the checks in a repository made from the upload would include build outputs."""
    lines = Path(TERRAFORM.parent, ".gcloudignore").read_text().splitlines()
    assert "#!include:.gitignore" in lines
    assert not {".gitignore", "/.gitignore", ".gcloudignore"} & set(lines)
