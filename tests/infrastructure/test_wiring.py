"""References between Terraform's resources: each part is connected to the right other one."""

import re
from typing import Any

from common.shared_values import SHARED
from tests.infrastructure.kustomizations import built
from tests.infrastructure.terraform_files import local, resources, text

OIDC = [
    {"service_account_email": "${google_service_account.caller.email}", "audience": "${local.api_url}"},
]
PRIVATE_RANGES = {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"}


def one(kind: str, name: str) -> dict[str, Any]:
    return resources(kind)[name]


def api_template() -> dict[str, Any]:
    (template,) = one("google_cloud_run_v2_service", "api")["template"]
    content: dict[str, Any] = template
    return content


def test_callers_of_internal_routes_use_the_accepted_token() -> None:
    (push,) = one("google_pubsub_subscription", "pushes")["push_config"]
    (request,) = one("google_cloud_scheduler_job", "clockwork")["http_target"]
    assert (push["oidc_token"], request["oidc_token"]) == (OIDC, OIDC)
    assert push["push_endpoint"] == request["uri"] == "${local.api_url}${each.value.path}"
    settings = local("api.tf", "api_derived")
    assert settings["DARKROOM_INTERNAL_SERVICE_ACCOUNT"] == OIDC[0]["service_account_email"]
    assert settings["DARKROOM_INTERNAL_AUDIENCE"] == OIDC[0]["audience"]


def test_subscriptions_belong_to_the_topics_of_their_names() -> None:
    tasks = one("google_pubsub_subscription", "tasks")
    assert tasks["topic"] == '${google_pubsub_topic.topics["tasks"].id}'
    (policy,) = tasks["dead_letter_policy"]
    assert policy["dead_letter_topic"] == '${google_pubsub_topic.topics["dead_letters"].id}'
    archive = one("google_pubsub_subscription", "dead_letters_archive")
    assert archive["topic"] == '${google_pubsub_topic.topics["dead_letters"].id}'
    topics = {
        (push["path"], re.findall(r'\["(\w+)"\]', push["topic"])[0], bool(push["filter"]))
        for push in local("pubsub.tf", "pushes").values()
    }
    assert topics == {
        ("/internal/events", "events", False),
        ("/internal/dead-letters", "dead_letters", False),
        ("/internal/dead-letters", "tasks", True),
    }


def test_each_process_runs_as_its_own_account() -> None:
    assert api_template()["service_account"] == "${google_service_account.api.email}"
    (workers,) = one("google_cloud_run_v2_worker_pool", "workers")["template"]
    assert workers["service_account"] == "${google_service_account.worker.email}"
    assert workers["node_selector"] == [{"accelerator": "${var.cloud_run_workers.gpu}"}]
    for node_pool in resources("google_container_node_pool").values():
        (config,) = node_pool["node_config"]
        assert config["service_account"] == "${google_service_account.nodes.email}"
    (values,) = one("helm_release", "keda")["values"]
    assert (
        "podIdentity = {gcp = {enabled = true, gcpIAMServiceAccount = google_service_account.keda[0].email}}"
        in values
    )
    assert {name: account["account_id"] for name, account in resources("google_service_account").items()} == {
        name: f"darkroom-{name}"
        for name in ("api", "builder", "caller", "keda", "nodes", "weights", "worker")
    }


def test_pods_of_workers_and_keda_may_use_their_accounts() -> None:
    pods = one("google_service_account_iam_member", "pods")
    assert pods["member"] == "serviceAccount:${var.project_id}.svc.id.goog[${each.value.pod}]"
    source = pods["for_each"]
    assert "${local.shared.kubernetes.namespace}/${local.shared.kubernetes.worker_account}" in source
    assert '"${local.keda_namespace}/keda-operator"' in source
    account = built("shared").one("ServiceAccount")["metadata"]
    assert (account["namespace"], account["name"]) == (
        SHARED.kubernetes.namespace, SHARED.kubernetes.worker_account,
    )  # fmt: skip


def test_condition_of_document_access_names_the_database() -> None:
    (condition,) = one("google_project_iam_member", "documents")["condition"]
    database = "projects/${var.project_id}/databases/${google_firestore_database.darkroom.name}"
    assert condition["expression"] == f'resource.name == "{database}"'
    assert one("google_firestore_database", "darkroom")["name"] == "(default)"


def test_api_writes_only_below_the_folders_of_uploads() -> None:
    (condition,) = one("google_storage_bucket_iam_member", "api_writes_inputs")["condition"]
    assert 'for folder in ["inputs", "uploads"]' in condition["expression"]
    assert "projects/_/buckets/${local.images_bucket}/objects/${folder}/" in condition["expression"]
    prefixes = [
        rule["condition"][0]["matches_prefix"]
        for rule in one("google_storage_bucket", "images")["lifecycle_rule"]
        if "matches_prefix" in rule["condition"][0]
    ]
    assert prefixes == [["tasks/"], ["uploads/"], ["inputs/"]]


def test_traffic_of_the_api_passes_the_firewall_and_the_nat() -> None:
    (access,) = api_template()["vpc_access"]
    assert access["egress"] == "ALL_TRAFFIC"
    (interface,) = access["network_interfaces"]
    assert interface["subnetwork"] == "${google_compute_subnetwork.api.id}"
    firewall = one("google_compute_firewall", "api_stays_outside")
    assert interface["tags"] == firewall["target_tags"] == ["${local.api_network_tag}"]
    assert firewall["direction"] == "EGRESS"
    assert set(firewall["destination_ranges"]) == PRIVATE_RANGES
    assert firewall["deny"] == [{"protocol": "all"}]


def test_page_may_sign_in_at_the_apis_host() -> None:
    domains = one("google_identity_platform_config", "sign_in")["authorized_domains"]
    assert '"${var.project_id}.firebaseapp.com"' in domains
    assert "local.api_host]" in domains


def test_secrets_reach_the_processes_that_read_them() -> None:
    assert local("secrets.tf", "secrets") == {
        "webhook_key": {"id": "darkroom-webhook-key", "variable": "DARKROOM_WEBHOOK_KEY"},
        "autoscaling_token": {"id": "darkroom-autoscaling-token", "variable": "DARKROOM_AUTOSCALING_TOKEN"},
    }
    assert "for_each = local.secrets\n        content {\n          name = env.value.variable" in text(
        "api.tf"
    )


def test_first_revision_waits_for_its_roles() -> None:
    waiting = one("time_sleep", "roles_take_effect")
    assert int(waiting["create_duration"].removesuffix("s")) >= 60
    for kind, name in (
        ("google_cloud_run_v2_service", "api"),
        ("google_cloud_run_v2_worker_pool", "workers"),
    ):
        assert "${time_sleep.roles_take_effect}" in one(kind, name)["depends_on"]
    assert {reference.strip("${}").partition(".")[0] for reference in waiting["depends_on"]} == {
        "google_project_iam_member",
        "google_pubsub_subscription_iam_member",
        "google_pubsub_topic_iam_member",
        "google_secret_manager_secret_iam_member",
        "google_storage_bucket_iam_member",
    }
