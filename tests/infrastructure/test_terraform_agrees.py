"""Names, limits and deadlines are the same in settings, Terraform, manifests and documents."""

import re
from pathlib import Path
from typing import Any

import pytest

from common.settings import SharedSettings
from common.wire_formats.task_message import task_message_attributes
from frontend_api import gunicorn_conf
from frontend_api.settings import ApiSettings
from gpu_subscriber.settings import WorkerSettings
from local_stack.provisioning import ResourceNames
from tests.factories import submitted_task
from tests.infrastructure.kustomizations import K8S, POOLS, pool
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
            "LOG_FORMAT",
            "LOG_LEVEL",
            "METRIC_EXPORTER",
            "TRACE_EXPORTER",
            "TRUSTED_HOSTS",
        ),
        *("MAX_ACTIVE_TASKS", "MAX_QUEUED_TASKS", "MAX_REFUSED_PER_MINUTE", "MAX_SUBMISSIONS_PER_MINUTE"),
        *("MAX_UNFINISHED_PER_CALLER", "REQUEST_DEADLINE_SECONDS"),
        *(
            "PUBLISH_TIMEOUT_SECONDS",
            "SIGNED_LINK_MINUTES",
            "STORE_TIMEOUT_SECONDS",
            "STREAM_HEARTBEAT_SECONDS",
        ),
        *("RESCUE_CLAIM_DEAD_SECONDS", "RESCUE_ENQUEUED_SECONDS", "RESCUE_NEVER_ENQUEUED_SECONDS"),
        *(
            "WEBHOOKS_AT_ONCE",
            "WEBHOOKS_AT_ONCE_PER_HOST",
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
GIBIBYTE = 2**30


def default_of(model: type[SharedSettings], name: str) -> object:
    return model.model_fields[name].default


def variables_of(model: type[SharedSettings]) -> set[str]:
    return {f"DARKROOM_{name.upper()}" for name in model.model_fields}


def variable_names(source: str) -> set[str]:
    """Return the variables that are assigned, as `NAME = value` or `NAME=value`."""
    return set(re.findall(r"^\s*(DARKROOM_\w+)\s*=", source, re.MULTILINE))


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("topic", ["tasks", "events", "dead_letters"])
def test_topics_are_called_as_the_processes_call_them(topic: str) -> None:
    setting = {"tasks": "tasks_topic", "events": "events_topic", "dead_letters": "dead_letter_topic"}[topic]
    name = local("pubsub.tf", "topics")[topic]
    assert name == default_of(SharedSettings, setting) == getattr(ResourceNames(), setting)
    assert f"{setting.upper()}={name}" in (K8S / "environment" / "settings.env").read_text()


def test_subscriptions_are_called_as_on_one_machine() -> None:
    names = ResourceNames()
    pushes = set(local("pubsub.tf", "pushes"))
    assert pushes == {names.events_push_subscription, names.dead_letter_push_subscription}
    archive = resources("google_pubsub_subscription")["dead_letters_archive"]["name"]
    assert archive.replace("${local.topics.dead_letters}", names.dead_letter_topic) == (
        names.dead_letter_subscription
    )
    pattern = resources("google_pubsub_subscription")["tasks"]["name"]
    (pool,) = block("variables_workers.tf", "variable", "model_pools")["default"]
    named = pattern.replace("${local.topics.tasks}", names.tasks_topic).replace("${each.key}", pool)
    assert named == names.tasks_subscription("demo") == default_of(WorkerSettings, "subscription")


def test_subscriptions_filter_by_the_pool_that_messages_name() -> None:
    pattern = resources("google_pubsub_subscription")["tasks"]["filter"]
    attributes = task_message_attributes(submitted_task(), pool="large")
    (name,) = re.findall(r"attributes\.(\w+) =", pattern)
    assert attributes[name] == "large"
    assert '"${each.key}"' in pattern.replace('\\"', '"')
    assert "for_each = toset(concat(keys(var.model_pools), var.draining_pools))" in text("pubsub.tf")


def test_drain_script_publishes_to_the_topic_that_terraform_makes() -> None:
    script = (ROOT / "scripts" / "drain_subscription").read_text()
    assert f'"--topic", default="{local("pubsub.tf", "topics")["tasks"]}"' in script


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_pulls_a_subscription_that_terraform_can_make(pool: str) -> None:
    kustomization = (K8S / "overlays" / pool / "kustomization.yaml").read_text()
    (subscription,) = re.findall(r"DARKROOM_SUBSCRIPTION=(\S+)", kustomization)
    assert re.fullmatch(rf"{ResourceNames().tasks_topic}-[a-z0-9][a-z0-9-]{{0,30}}", subscription)


def test_pods_are_who_terraform_says_they_are() -> None:
    shared = {path.name: path.read_text() for path in (K8S / "shared").glob("*.yaml")}
    pods = text("identity.tf")
    (namespace,) = re.findall(r"name: (\S+)", shared["namespace.yaml"])
    (account,) = re.findall(r"^  name: (\S+)", shared["service-account.yaml"], re.MULTILINE)
    assert f'pod = "{namespace}/{account}"' in pods
    worker = resources("google_service_account")["worker"]["account_id"]
    assert f"WORKER_SERVICE_ACCOUNT={worker}@" in (K8S / "environment" / "parameters.env").read_text()


def test_what_keda_shows_lies_where_terraform_put_it() -> None:
    shown = (K8S / "shared" / "trigger-authentication.yaml").read_text()
    (secret,) = re.findall(r"^        id: (\S+)", shown, re.MULTILINE)
    assert secret == local("secrets.tf", "secrets")["autoscaling_token"]["id"]


def test_spot_nodes_are_tainted_with_what_their_workers_tolerate() -> None:
    (key, value) = re.findall(r'spot \? \[\{ key = "([^"]+)", value = "([^"]+)"', text("gpu_pools.tf"))[0]
    tolerated = (K8S / "overlays" / "l4-spot" / "nodes.yaml").read_text()
    assert f"key: {key}" in tolerated
    assert f'value: "{value}"' in tolerated


def test_the_catalog_lies_where_workers_look_for_it() -> None:
    looked_for = (K8S / "weights" / "deployment.yaml").read_text()
    assert f"value: /weights/{local('storage.tf', 'model_catalog')}" in looked_for


def test_terraforms_outputs_fill_the_manifests_environment() -> None:
    settings = variable_names((K8S / "environment" / "settings.env").read_text())
    assert set(local("cloud_run_workers.tf", "worker_settings")) == settings
    parameters = re.findall(r"^(\w+)=", (K8S / "environment" / "parameters.env").read_text(), re.MULTILINE)
    output = re.search(r'output "worker_parameters" \{.*?\n\}', text("outputs.tf"), re.DOTALL)
    assert output
    given = re.findall(r"^    ([A-Z_]+)\s*=", output[0], re.MULTILINE)
    assert {*given, "WORKER_IMAGE"} == set(parameters)


def test_the_pipeline_deploys_to_what_terraform_makes() -> None:
    pipeline = (ROOT / "cloudbuild.yaml").read_text()
    repository = resources("google_artifact_registry_repository")["images"]["repository_id"]
    assert f"-docker.pkg.dev/${{PROJECT_ID}}/{repository}/" in pipeline
    builds = resources("google_storage_bucket")["builds"]["name"].replace(
        "${var.project_id}", "${PROJECT_ID}"
    )
    assert f"gs://{builds}/" in pipeline
    assert f"/{resources('google_service_account')['builder']['account_id']}@" in pipeline
    assert f"gcloud run services update {local('api.tf', 'api_name')} " in pipeline
    (cluster,) = re.findall(r'var.cluster.enabled \? \["(\w+)"\]', text("cluster.tf"))
    assert f"_CLUSTER: {cluster}\n" in pipeline


def test_the_builder_may_do_what_the_documents_say() -> None:
    documented = re.findall(
        r"^\| `(roles/[\w.]+)` \|", (ROOT / "docs" / "operating" / "releases.md").read_text(), re.MULTILINE
    )
    given = re.findall(r'"(roles/[\w.]+)"', text("builder.tf"))
    assert len(given) > 5
    assert set(documented) == set(given)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_api_is_told_nothing_that_it_does_not_read() -> None:
    secrets = {secret["variable"] for secret in local("secrets.tf", "secrets").values()}
    told = variable_names(text("api.tf")) | secrets
    assert len(told) > 15
    assert told <= variables_of(ApiSettings)


def test_every_setting_of_the_api_is_told_or_left_to_operators() -> None:
    """A new setting fails here until it is assigned: to a Terraform variable, or to `api_settings`."""
    secrets = {secret["variable"] for secret in local("secrets.tf", "secrets").values()}
    told = variable_names(text("api.tf")) | variable_names(text("cloud_run_workers.tf")) | secrets
    told |= set(re.findall(r"\{ (DARKROOM_\w+) =", text("api.tf")))
    assert variables_of(ApiSettings) - told == LEFT_TO_OPERATORS


def test_workers_are_told_nothing_that_they_do_not_read() -> None:
    told = variable_names(text("cloud_run_workers.tf"))
    assert len(told) > 8
    assert told <= variables_of(WorkerSettings)


@pytest.mark.parametrize("name", ["keep_tasks_for_days", "give_up_after_days"])
def test_how_long_things_are_kept_begins_with_the_same_number(name: str) -> None:
    assert block("variables.tf", "variable", name)["default"] == default_of(ApiSettings, name)


def test_images_outlive_their_tasks_by_the_sum_that_was_derived() -> None:
    assert "age = 2 * var.keep_tasks_for_days + var.give_up_after_days + 2" in text("storage.tf")
    derived = (ROOT / "docs" / "adr" / "0009-expiry-of-tasks-and-images.md").read_text()
    assert "2 × `DARKROOM_KEEP_TASKS_FOR_DAYS` + `DARKROOM_GIVE_UP_AFTER_DAYS` + 2" in derived


def test_an_instance_is_sent_no_more_than_it_has_threads_for() -> None:
    waiting, working = local("api.tf", "api_max_waiting"), local("api.tf", "api_threads")
    assert (waiting, working) == (
        default_of(ApiSettings, "max_waiting"),
        default_of(ApiSettings, "api_threads"),
    )
    assert gunicorn_conf.threads == waiting + working <= CLOUD_RUN_MOST_REQUESTS
    assert "max_instance_request_concurrency = local.api_max_waiting + local.api_threads" in text("api.tf")


# ── routes, commands ─────────────────────────────────────────────────────────────────────────────────────


def test_whatever_calls_the_api_calls_a_route_that_there_is() -> None:
    routes = {str(rule) for rule in Api(folder=Path()).app.url_map.iter_rules()}
    called = set(re.findall(r'path\s*=\s*"(/[^"]+)"', text("pubsub.tf") + text("scheduler.tf")))
    probed = set(re.findall(r'path = "(/[^"]+)"', text("api.tf"))) - {"/weights"}
    assert called == {
        "/internal/events",
        "/internal/dead-letters",
        "/internal/rescue",
        "/internal/remove-expired",
    }
    assert probed == {"/healthz", "/readyz"}
    assert called | probed <= routes


def test_every_output_that_a_command_reads_exists() -> None:
    documents = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "cloudbuild.yaml"]
    read = set()
    for path in documents:
        if path.exists():
            read |= set(re.findall(r"output (?:-raw )?([a-z]\w+_\w+)", path.read_text()))
    assert {"api_url", "builder_service_account", "worker_settings"} <= read
    assert read <= labels_of("outputs.tf", "output")


@pytest.mark.parametrize("name", ["variables.tf", "variables_workers.tf"])
def test_every_variable_is_described_and_typed(name: str) -> None:
    variables = labels_of(name, "variable")
    assert list(re.findall(r'^variable "(\w+)"', text(name), re.MULTILINE)) == sorted(variables)
    for variable in variables:
        assert {"description", "type"} <= set(block(name, "variable", variable)), variable


def node_pools(environment: str) -> dict[str, dict[str, Any]]:
    pools: dict[str, dict[str, Any]] = parsed(f"environments/{environment}.tfvars")["gpu_pools"]
    return pools


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_environment_names_pools_that_have_manifests(environment: str) -> None:
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
def test_a_node_has_the_disk_that_its_pod_asks_for(environment: str) -> None:
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
