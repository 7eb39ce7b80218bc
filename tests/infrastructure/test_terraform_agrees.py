"""Names, limits and deadlines are the same in settings, Terraform, manifests and documents."""

import re
from pathlib import Path
from typing import Any

import pytest

from common.settings import SharedSettings
from common.shared_values import SHARED
from common.wire_formats.task_message import task_message_attributes
from frontend_api import gunicorn_conf
from frontend_api.settings import ApiSettings
from gpu_subscriber.settings import WorkerSettings
from local_stack.provisioning import ResourceNames
from tests.factories import submitted_task
from tests.infrastructure.kustomizations import K8S, POOLS, built, pool
from tests.infrastructure.terraform_files import (
    TERRAFORM,
    block,
    labels_of,
    local,
    parsed,
    resources,
    text,
)
from tests.unit.frontend_api.conftest import Api

ROOT = TERRAFORM.parent
CLOUD_RUN_MOST_REQUESTS = 1_000
LEFT_TO_OPERATORS = {
    f"DARKROOM_{name}"
    for name in (
        *(
            "API_KEY_CACHE_SECONDS",
            "CORS_ORIGINS",
            "LOG_FORMAT",
            "LOG_LEVEL",
            "METRIC_EXPORTER",
            "TRACE_EXPORTER",
            "TRUSTED_HOSTS",
        ),
        *("MAX_ACTIVE_TASKS", "MAX_QUEUED_TASKS", "MAX_REFUSED_PER_MINUTE", "MAX_SUBMISSIONS_PER_MINUTE"),
        *("MAX_REQUESTS_PER_MINUTE", "REFUSED_WORDS_FILE"),
        *("KEEP_UNUSED_INPUTS_HOURS", "MAX_INPUT_BYTES", "MAX_INPUT_BYTES_PER_CALLER"),
        *("MAX_INPUT_PIXELS", "MAX_INPUT_SIDE"),
        *("MAX_SHARE_DAYS", "MAX_SHARE_REQUESTS_PER_MINUTE"),
        *("MAX_LIST_STREAMS_PER_CALLER", "MAX_UNFINISHED_PER_CALLER", "MAX_WAITING_PER_CALLER"),
        *("REQUEST_DEADLINE_SECONDS",),
        *("OPENAI_SILENT_SECONDS", "OPENAI_WAIT_SECONDS"),
        *(
            "PUBLISH_TIMEOUT_SECONDS",
            "SIGNED_LINK_MINUTES",
            "STORE_TIMEOUT_SECONDS",
            "STREAM_HEARTBEAT_SECONDS",
        ),
        *("RESCUE_CLAIM_DEAD_SECONDS", "RESCUE_ENQUEUED_SECONDS", "RESCUE_NEVER_ENQUEUED_SECONDS"),
        *(
            "WEBHOOKS_AT_ONCE",
            "WEBHOOKS_AT_ONCE_PER_CALLER",
            "WEBHOOKS_AT_ONCE_PER_HOST",
            "WEBHOOK_FIRST_PAUSE_SECONDS",
            "WEBHOOK_LONGEST_PAUSE_SECONDS",
            "WEBHOOK_PRIVATE_RECEIVERS",
            "WEBHOOK_ROTATION_HOURS",
            "WEBHOOK_TIMEOUT_SECONDS",
        ),
        # Local to one machine, or read under another name.
        *("INTERNAL_TOKEN", "TRACE_FOLDER", "OTLP_ENDPOINT", "PROMETHEUS_HOST", "PROMETHEUS_PORT"),
        *(
            "FIRESTORE_BROWSER_HOST",
            "FIRESTORE_EMULATOR_HOST",
            "PUBSUB_EMULATOR_HOST",
            "STORAGE_EMULATOR_HOST",
        ),
    )
}
DERIVED_WHERE_SET = {
    f"DARKROOM_{name}"
    for name in ("CLOUD_RUN_WORKERS", "MODEL_CATALOG", "PRICE_CURRENCY", "PRICE_PER_GPU_SECOND", "PUBLIC_URL")
}
"""Set only if the variable that they follow from is not null."""
GIBIBYTE = 2**30


def default_of(model: type[SharedSettings], name: str) -> object:
    return model.model_fields[name].default


def variables_of(model: type[SharedSettings]) -> set[str]:
    return {f"DARKROOM_{name.upper()}" for name in model.model_fields}


def variable_names(source: str) -> set[str]:
    """Return the variables that are assigned, as `NAME = value` or `NAME=value`."""
    return set(re.findall(r"^\s*(DARKROOM_\w+)\s*=", source, re.MULTILINE))


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────


def test_manifests_name_the_topics_that_terraform_creates() -> None:
    settings = (K8S / "environment" / "settings.env").read_text().splitlines()
    topics = SHARED.topics
    assert f"DARKROOM_TASKS_TOPIC={topics.tasks}" in settings
    assert f"DARKROOM_EVENTS_TOPIC={topics.events}" in settings
    assert f"DARKROOM_DEAD_LETTER_TOPIC={topics.dead_letters}" in settings


def test_subscriptions_filter_by_the_attribute_that_messages_have() -> None:
    subscription = resources("google_pubsub_subscription")["tasks"]
    (name,) = task_message_attributes(submitted_task(), pool="large").keys() & {"pool"}
    assert subscription["filter"].replace("\\", "") == f'attributes.{name} = "${{each.key}}"'
    assert subscription["name"] == "${local.topics.tasks}-${each.key}"
    assert ResourceNames().tasks_subscription("demo") == default_of(WorkerSettings, "subscription")


@pytest.mark.parametrize("pool", POOLS)
def test_overlay_pulls_from_a_subscription_that_terraform_can_create(pool: str) -> None:
    kustomization = (K8S / "overlays" / pool / "kustomization.yaml").read_text()
    (subscription,) = re.findall(r"DARKROOM_SUBSCRIPTION=(\S+)", kustomization)
    assert re.fullmatch(rf"{ResourceNames().tasks_topic}-[a-z0-9][a-z0-9-]{{0,30}}", subscription)


def test_manifests_have_the_namespace_and_account_of_terraform() -> None:
    manifests = built("shared")
    assert manifests.one("Namespace")["metadata"]["name"] == SHARED.kubernetes.namespace
    account = manifests.one("ServiceAccount")["metadata"]
    assert (account["namespace"], account["name"]) == (
        SHARED.kubernetes.namespace,
        SHARED.kubernetes.worker_account,
    )
    worker = resources("google_service_account")["worker"]["account_id"]
    assert f"WORKER_SERVICE_ACCOUNT={worker}@" in (K8S / "environment" / "parameters.env").read_text()


def test_keda_reads_the_secret_that_terraform_creates() -> None:
    shown = (K8S / "shared" / "trigger-authentication.yaml").read_text()
    (secret,) = re.findall(r"^        id: (\S+)", shown, re.MULTILINE)
    assert secret == local("secrets.tf", "secrets")["autoscaling_token"]["id"]


def test_spot_workers_tolerate_the_taint_of_spot_nodes() -> None:
    (key, value) = re.findall(r'spot \? \[\{ key = "([^"]+)", value = "([^"]+)"', text("gpu_pools.tf"))[0]
    tolerated = (K8S / "overlays" / "l4-spot" / "nodes.yaml").read_text()
    assert f"key: {key}" in tolerated
    assert f'value: "{value}"' in tolerated


def test_workers_read_the_catalog_that_terraform_uploads() -> None:
    looked_for = (K8S / "weights" / "deployment.yaml").read_text()
    assert f"value: /weights/{local('storage.tf', 'model_catalog')}" in looked_for


def test_outputs_provide_the_manifests_environment() -> None:
    settings = variable_names((K8S / "environment" / "settings.env").read_text())
    assert set(local("cloud_run_workers.tf", "worker_settings")) == settings
    parameters = re.findall(r"^(\w+)=", (K8S / "environment" / "parameters.env").read_text(), re.MULTILINE)
    output = re.search(r'output "worker_parameters" \{.*?\n\}', text("outputs.tf"), re.DOTALL)
    assert output
    given = re.findall(r"^    ([A-Z_]+)\s*=", output[0], re.MULTILINE)
    assert {*given, "WORKER_IMAGE"} == set(parameters)


def test_pipeline_deploys_to_the_resources_of_terraform() -> None:
    pipeline = (ROOT / "cloudbuild.yaml").read_text()
    repository = resources("google_artifact_registry_repository")["images"]["repository_id"]
    assert f"-docker.pkg.dev/${{PROJECT_ID}}/{repository}/" in pipeline
    builds = resources("google_storage_bucket")["builds"]["name"].replace(
        "${var.project_id}", "${PROJECT_ID}"
    )
    assert f"gs://{builds}/" in pipeline
    assert f"/{resources('google_service_account')['builder']['account_id']}@" in pipeline
    assert f"gcloud run services update {local('api.tf', 'api_name')} " in pipeline
    (cluster,) = re.findall(r'var.existing_cluster == null \? \["(\w+)"\]', text("cluster.tf"))
    assert f"_CLUSTER: {cluster}\n" in pipeline


def test_builder_has_the_documented_roles() -> None:
    documented = re.findall(
        r"^\| `(roles/[\w.]+)` \|", (ROOT / "docs" / "operating" / "releases.md").read_text(), re.MULTILINE
    )
    given = re.findall(r'"(roles/[\w.]+)"', text("builder.tf"))
    assert len(given) > 5
    assert set(documented) == set(given)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_of_the_api_are_derived_or_left_to_operators() -> None:
    """A new setting fails here until it is assigned: to a Terraform variable, or to `api_settings`."""
    secrets = {secret["variable"] for secret in local("secrets.tf", "secrets").values()}
    derived = set(local("api.tf", "api_derived")) | secrets | DERIVED_WHERE_SET
    assert derived <= variables_of(ApiSettings)
    assert variables_of(ApiSettings) - derived == LEFT_TO_OPERATORS


def test_instance_has_a_thread_for_each_concurrent_request() -> None:
    requests = SHARED.api.threads + SHARED.api.max_waiting
    assert requests <= gunicorn_conf.threads <= CLOUD_RUN_MOST_REQUESTS


def test_workers_get_only_settings_that_they_read() -> None:
    settings = variable_names(text("cloud_run_workers.tf"))
    assert len(settings) > 8
    assert settings <= variables_of(WorkerSettings)


# ── routes, commands ─────────────────────────────────────────────────────────────────────────────────────


def test_terraform_calls_existing_routes_of_the_api() -> None:
    routes = {str(rule) for rule in Api(folder=Path()).app.url_map.iter_rules()}
    calls = [*local("pubsub.tf", "pushes").values(), *local("scheduler.tf", "clockwork").values()]
    (template,) = resources("google_cloud_run_v2_service")["api"]["template"]
    (container,) = template["containers"]
    probes = [*container["startup_probe"], *container["liveness_probe"]]
    called = {call["path"] for call in calls} | {probe["http_get"][0]["path"] for probe in probes}
    assert len(called) == 9
    assert called <= routes


def test_outputs_that_commands_read_exist() -> None:
    documents = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "cloudbuild.yaml"]
    read = set()
    for path in documents:
        if path.exists():
            read |= set(re.findall(r"output (?:-raw )?([a-z]\w+_\w+)", path.read_text()))
    assert {"api_url", "builder_service_account", "worker_settings"} <= read
    assert read <= labels_of("outputs.tf", "output")


@pytest.mark.parametrize("name", sorted(path.name for path in TERRAFORM.glob("variables*.tf")))
def test_variables_have_a_description_and_a_type(name: str) -> None:
    variables = labels_of(name, "variable")
    assert list(re.findall(r'^variable "(\w+)"', text(name), re.MULTILINE)) == sorted(variables)
    for variable in variables:
        assert {"description", "type"} <= set(block(name, "variable", variable)), variable


def node_pools(environment: str) -> dict[str, dict[str, Any]]:
    pools: dict[str, dict[str, Any]] = parsed(f"environments/{environment}.tfvars")["gpu_pools"]
    return pools


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_pools_of_an_environment_have_manifests(environment: str) -> None:
    assert node_pools(environment)
    assert node_pools(environment).keys() <= set(POOLS)


def left_for_pods(disk_gb: float) -> float:
    """Return the bytes of a boot disk that GKE leaves for pods.

    This excludes GKE's own reserve and the eviction threshold.
    https://cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes#ephemeral_storage_allocatable
    """
    disk = disk_gb * 10**9
    return disk - 0.1 * disk - min(0.5 * disk, 6 * GIBIBYTE + 0.35 * disk, 100 * GIBIBYTE)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_nodes_disk_is_large_enough_for_its_pod(environment: str) -> None:
    """Otherwise the pod fits on no possible node and stays pending."""
    default = float(re.findall(r"disk_gb\s*= optional\(number, (\d+)\)", text("variables_workers.tf"))[0])
    for name, nodes in node_pools(environment).items():
        build = pool(name)
        asked = [build.worker["resources"]["requests"]["ephemeral-storage"]]
        # The sidecar of Cloud Storage FUSE requests as much as its limit by default.
        asked += filter(
            None, [build.pod["metadata"]["annotations"].get("gke-gcsfuse/ephemeral-storage-limit")]
        )
        total = sum(float(quantity.removesuffix("Gi")) * GIBIBYTE for quantity in asked)
        assert total < left_for_pods(nodes.get("disk_gb", default)), name
