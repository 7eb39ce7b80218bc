"""References between Terraform's resources: each part is connected to the right other one."""

import re
from typing import Any

from common.shared_values import SHARED
from tests.infrastructure.dockerfiles import ROOT
from tests.infrastructure.kustomizations import built
from tests.infrastructure.terraform_files import local, parsed, resources, text

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


def test_keda_calls_the_run_app_host_which_is_internal() -> None:
    assert re.search(r"API_HOST += local\.api_host\n", text("outputs.tf"))
    assert resources("google_compute_subnetwork")["nodes"]["private_ip_google_access"]


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
    network = local("network.tf", "network")
    assert (interface["network"], interface["subnetwork"]) == ("${local.network.id}", "${local.network.api}")
    assert "id = google_compute_network.darkroom[0].id" in network
    assert "api = google_compute_subnetwork.api[0].id" in network
    assert "nodes = google_compute_subnetwork.nodes[0].id" in network
    firewall = one("google_compute_firewall", "api_stays_outside")
    assert interface["tags"] == firewall["target_tags"] == ["${local.api_network_tag}"]
    assert firewall["network"] == "${try(google_compute_network.darkroom[0].id, local.network.id)}"
    assert firewall["direction"] == "EGRESS"
    assert set(firewall["destination_ranges"]) == PRIVATE_RANGES
    assert firewall["deny"] == [{"protocol": "all"}]


def test_page_may_sign_in_at_the_hosts_of_the_api() -> None:
    domains = one("google_identity_platform_config", "sign_in")["authorized_domains"]
    assert '"${var.project_id}.firebaseapp.com"' in domains
    assert "local.page_hosts" in domains
    hosts = local("domain.tf", "page_hosts")
    assert "local.public_host" in hosts
    assert "local.run_app_is_open ? [local.api_host] : []" in hosts
    assert local("domain.tf", "public_host") == ("${var.domain == null ? local.api_host : var.domain.name}")


def test_load_balancer_calls_the_api_and_its_canary() -> None:
    assert local("domain.tf", "backends") == (
        '${{for name, tag in {api = null, canary = "canary"} : name => tag if var.domain != null}}'
    )
    (endpoint,) = one("google_compute_region_network_endpoint_group", "api")["cloud_run"]
    assert endpoint == {"service": "${google_cloud_run_v2_service.api.name}", "tag": "${each.value}"}
    (matcher,) = one("google_compute_url_map", "api")["path_matcher"]
    (rule,) = matcher["route_rules"]
    assert matcher["default_service"] == '${google_compute_backend_service.api["api"].id}'
    assert rule["service"] == '${google_compute_backend_service.api["canary"].id}'
    (header,) = rule["match_rules"][0]["header_matches"]
    smoke_test = (ROOT / "scripts" / "smoke_test").read_text()
    assert f'{{"{header["header_name"]}": tag}}' in smoke_test
    pipeline = (ROOT / "cloudbuild.yaml").read_text()
    assert f"smoke_test --service /workspace/service.json --tag {header['exact_match']}" in pipeline


def test_backends_of_the_load_balancer_have_its_limits() -> None:
    backend = one("google_compute_backend_service", "api")
    assert backend["for_each"] == "${google_compute_region_network_endpoint_group.api}"
    assert backend["security_policy"] == '${google_compute_security_policy.domain["darkroom"].id}'
    assert not {"timeout_sec", "health_checks", "port_name"} & set(backend), "refused for Cloud Run"
    ingress = one("google_cloud_run_v2_service", "api")["ingress"]
    assert ingress == (
        '${local.run_app_is_open ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"}'
    )
    rules = one("google_compute_security_policy", "domain")["rule"]
    limits = [rule["action"] for rule in sorted(rules, key=lambda rule: int(rule["priority"]))]
    assert limits == ["deny(403)", "throttle", "allow"]


def test_load_balancer_listens_at_both_addresses_and_ports() -> None:
    rules = resources("google_compute_global_forwarding_rule")
    assert {rule["for_each"] for rule in rules.values()} == {"${google_compute_global_address.domain}"}
    assert {(rule["port_range"], rule["target"]) for rule in rules.values()} == {
        ("443", '${google_compute_target_https_proxy.api["darkroom"].id}'),
        ("80", '${google_compute_target_http_proxy.redirect["darkroom"].id}'),
    }
    assert one("google_compute_target_http_proxy", "redirect")["url_map"] == (
        "${google_compute_url_map.redirect[each.key].id}"
    )
    addresses = local("api.tf", "api_derived")["DARKROOM_TRUSTED_PROXY_ADDRESSES"]
    assert addresses == "${jsonencode(values(google_compute_global_address.domain)[*].address)}"


def test_certificate_of_the_domain_reaches_the_load_balancer() -> None:
    authorization = one("google_certificate_manager_dns_authorization", "domain")
    (managed,) = one("google_certificate_manager_certificate", "domain")["managed"]
    assert authorization["domain"] == "${var.domain.name}"
    reference = "google_certificate_manager_dns_authorization.domain[each.key]"
    assert managed["domains"] == [f"${{{reference}.domain}}"]
    assert managed["dns_authorizations"] == [f"${{{reference}.id}}"]
    entry = one("google_certificate_manager_certificate_map_entry", "domain")
    assert entry["map"] == "${google_certificate_manager_certificate_map.domain[each.key].name}"
    assert entry["certificates"] == ["${google_certificate_manager_certificate.domain[each.key].id}"]
    proxy = one("google_compute_target_https_proxy", "api")
    certificates = "google_certificate_manager_certificate_map.domain[each.key].id"
    assert proxy["certificate_map"] == f"//certificatemanager.googleapis.com/${{{certificates}}}"
    assert proxy["ssl_policy"] == "${google_compute_ssl_policy.domain[each.key].id}"
    assert one("google_compute_ssl_policy", "domain")["min_tls_version"] == "TLS_1_2"


def test_node_pools_and_keda_belong_to_the_used_cluster() -> None:
    pools = one("google_container_node_pool", "gpu")
    assert (pools["cluster"], pools["location"]) == ("${local.cluster.name}", "${local.cluster_location}")
    existing = parsed("cluster.tf")["data"][0]["google_container_cluster"]["existing"]
    assert (existing["name"], existing["location"]) == (
        "${var.existing_cluster.name}",
        "${local.cluster_location}",
    )
    cluster = local("cluster.tf", "cluster")
    assert "values(google_container_cluster.darkroom)" in cluster
    assert "values(data.google_container_cluster.existing)" in cluster
    assert "local.cluster.control_plane_endpoints_config" in local("cluster.tf", "control_plane")


def test_resources_wait_until_their_agent_may_use_their_key() -> None:
    keys = re.search(r'variable "kms_keys" \{.*?\n\}', text("variables.tf"), re.DOTALL)
    assert keys
    assert set(local("keys.tf", "kms_users")) == set(re.findall(r"^    (\w+) += optional", keys[0], re.M))
    usable = local("keys.tf", "usable_keys")
    assert usable == "${{for name, sleep in time_sleep.keys_take_effect : name => sleep.triggers.key}}"
    granted = "${google_kms_crypto_key_iam_member.agents_encrypt}"
    assert one("time_sleep", "keys_take_effect")["for_each"] == granted
    for bucket in resources("google_storage_bucket").values():
        assert bucket["dynamic"][0]["encryption"]["for_each"] == "${local.bucket_keys}"
    (database,) = one("google_firestore_database", "darkroom")["dynamic"]
    assert 'local.usable_keys : key if name == "firestore"' in database["cmek_config"]["for_each"]
    for kind, name, key in (
        ("google_pubsub_topic", "topics", "topics"),
        ("google_artifact_registry_repository", "images", "registry"),
    ):
        assert one(kind, name)["kms_key_name"] == f'${{lookup(local.usable_keys, "{key}", null)}}'


def test_another_key_is_refused_instead_of_replacing_the_data() -> None:
    first = one("terraform_data", "first_keys")
    assert "firestore = var.kms_keys.firestore, registry = var.kms_keys.registry" in first["input"]
    (lifecycle,) = first["lifecycle"]
    assert lifecycle["ignore_changes"] == ["input"]
    expected = first["input"].removeprefix("${").removesuffix("}")
    assert lifecycle["postcondition"][0]["condition"] == f"${{self.input == {expected}}}"


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
