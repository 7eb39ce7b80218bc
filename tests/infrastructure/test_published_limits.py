"""Terraform's literals and the examples against limits that Google publishes."""

import re
from typing import Any

import pytest
import yaml

from tests.infrastructure.dockerfiles import ROOT
from tests.infrastructure.kustomizations import K8S, pool
from tests.infrastructure.terraform_files import TERRAFORM, block, local, parsed, resources, text

ENVIRONMENTS = ("dev", "prod")
GIBIBYTE = 2**30
MACHINES: dict[str, dict[str, Any]] = yaml.safe_load(text("gpu_machines.yaml"))["machines"]
ZONES_WITH_GPUS = {
    "nvidia-l4": {"europe-west4-a", "europe-west4-b", "europe-west4-c"},
    "nvidia-tesla-a100": {"europe-west4-a", "europe-west4-b"},
    "nvidia-a100-80gb": {"europe-west4-a"},
}
"""The zones of the examples' region with each GPU: https://cloud.google.com/compute/docs/gpus/gpu-regions-zones"""
GOOGLE_METRICS = {
    "kubernetes_io:container_restart_count": ("k8s_container", {"container_name", "namespace_name"}),
    "pubsub_googleapis_com:subscription_dead_letter_message_count": (
        "pubsub_subscription",
        {"subscription_id"},
    ),
    "pubsub_googleapis_com:subscription_num_undelivered_messages": (
        "pubsub_subscription",
        {"subscription_id"},
    ),
    "pubsub_googleapis_com:subscription_oldest_unacked_message_age": (
        "pubsub_subscription",
        {"subscription_id"},
    ),
    "run_googleapis_com:container_instance_count": ("cloud_run_revision", {"service_name"}),
    "run_googleapis_com:request_count": ("cloud_run_revision", {"response_code_class", "service_name"}),
}
"""Google's metrics in PromQL, with their monitored resource and the labels that queries may select by."""
DAEMON_CPUS = 0.4
"""CPU that GKE's own pods request on each node, such as the log agent, the metadata server and the DNS cache."""
each_environment = pytest.mark.parametrize("environment", ENVIRONMENTS)


def gpu_pools(environment: str) -> dict[str, dict[str, Any]]:
    pools: dict[str, dict[str, Any]] = parsed(f"environments/{environment}.tfvars")["gpu_pools"]
    return pools


def allocatable_cpus(cpus: int) -> float:
    """Return the cores that GKE leaves for pods."""
    shares = (0.06, 0.01, 0.005, 0.005)
    return cpus - sum(shares[:cpus]) - 0.0025 * max(0, cpus - 4)


def allocatable_memory(gibibytes: float) -> float:
    """Return the GiB of memory that GKE leaves for pods, without the eviction threshold of 100 MiB."""
    reserved, left = 0.0, gibibytes
    for size, share in ((4, 0.25), (4, 0.2), (8, 0.1), (112, 0.06), (float("inf"), 0.02)):
        reserved += share * min(size, left)
        left = max(0.0, left - size)
    return gibibytes - reserved - 0.1


@each_environment
def test_worker_pods_fit_on_the_nodes_of_their_pool(environment: str) -> None:
    for name, nodes in gpu_pools(environment).items():
        machine, build = MACHINES[nodes["machine_type"]], pool(name)
        requests = build.worker["resources"]["requests"]
        sidecar = build.pod["metadata"]["annotations"].get("gke-gcsfuse/memory-limit", "0Gi")
        memory = sum(float(size.removesuffix("Gi")) for size in (requests["memory"], sidecar))
        assert float(requests["cpu"]) + DAEMON_CPUS <= allocatable_cpus(machine["cpus"]), name
        assert memory <= allocatable_memory(machine["memory"]), name
        assert int(build.worker["resources"]["limits"]["nvidia.com/gpu"]) <= machine["gpus"], name


@each_environment
def test_pools_have_the_accelerator_of_their_machine(environment: str) -> None:
    for nodes in gpu_pools(environment).values():
        machine = MACHINES[nodes["machine_type"]]
        assert nodes["accelerator"] == machine["accelerator"]
        assert nodes.get("accelerators_per_node", 1) == machine["gpus"]


@each_environment
def test_zones_of_a_pool_have_its_gpu(environment: str) -> None:
    for nodes in gpu_pools(environment).values():
        zones = set(nodes.get("zones", [])) or {f"europe-west4-{zone}" for zone in "abc"}
        assert zones <= ZONES_WITH_GPUS[nodes["accelerator"]]


def test_nat_has_valid_numbers_of_ports() -> None:
    nat = resources("google_compute_router_nat")["darkroom"]
    low, high = nat["min_ports_per_vm"], nat["max_ports_per_vm"]
    assert nat["enable_dynamic_port_allocation"]
    assert not nat["enable_endpoint_independent_mapping"], "excludes dynamic allocation"
    assert 32 <= low < high <= 65_536
    assert [ports for ports in (low, high) if ports & (ports - 1)] == [], "not a power of two"
    assert nat["nat_ip_allocate_option"] == "MANUAL_ONLY"
    assert nat["nat_ips"] == "${google_compute_address.way_out[*].self_link}"
    assert nat["source_subnetwork_ip_ranges_to_nat"] == "ALL_SUBNETWORKS_ALL_IP_RANGES"


def test_subnetworks_use_the_variables_ranges_and_reach_googles_apis() -> None:
    subnetworks = resources("google_compute_subnetwork")
    assert {name: network["ip_cidr_range"] for name, network in subnetworks.items()} == {
        "nodes": "${var.network_ranges.nodes}",
        "api": "${var.network_ranges.api}",
    }
    assert all(network["private_ip_google_access"] for network in subnetworks.values())
    secondary = {
        each["range_name"]: each["ip_cidr_range"] for each in subnetworks["nodes"]["secondary_ip_range"]
    }
    assert secondary == {"pods": "${var.network_ranges.pods}", "services": "${var.network_ranges.services}"}
    (policy,) = resources("google_container_cluster")["darkroom"]["ip_allocation_policy"]
    assert policy["cluster_secondary_range_name"] == "${local.network.pods}"
    assert policy["services_secondary_range_name"] == "${local.network.services}"
    network = local("network.tf", "network")
    assert all(f'{name} = "{name}"' in network for name in secondary)


def test_cluster_has_the_addons_that_pods_need() -> None:
    cluster = resources("google_container_cluster")["darkroom"]
    (addons,) = cluster["addons_config"]
    assert addons["gcs_fuse_csi_driver_config"] == [{"enabled": True}], "weights"
    assert addons["gce_persistent_disk_csi_driver_config"] == [{"enabled": True}]
    assert cluster["datapath_provider"] == "ADVANCED_DATAPATH", "enforces the NetworkPolicy"
    assert cluster["workload_identity_config"] == [{"workload_pool": "${var.project_id}.svc.id.goog"}]
    (endpoints,) = cluster["control_plane_endpoints_config"]
    assert endpoints["dns_endpoint_config"] == [{"allow_external_traffic": True}], (
        "the pipeline connects here"
    )
    for node_pool in resources("google_container_node_pool").values():
        (config,) = node_pool["node_config"]
        assert config["workload_metadata_config"] == [{"mode": "GKE_METADATA"}]
        assert config["gcfs_config"] == [{"enabled": True}], "image streaming"


def test_origins_have_no_path() -> None:
    """A browser's Origin header never ends with a slash, so such an entry would match no page."""
    (cors,) = resources("google_storage_bucket")["images"]["cors"]
    assert cors["origin"] == (
        '${concat([for host in local.page_hosts : "https://${host}"], var.browser_origins)}'
    )
    host = parsed("api.tf")["locals"][0]
    assert host["api_url"] == "https://${local.api_host}"
    assert host["api_host"] == "${local.api_name}-${local.project_number}.${var.region}.run.app"


def test_queries_use_existing_metrics_of_google() -> None:
    files = [ROOT / "common" / "alert_rules.yaml", *TERRAFORM.glob("*.tf"), TERRAFORM / "dashboard.yaml"]
    files += [K8S / "base" / "scaled-object.yaml"]
    source = "\n".join(file.read_text() for file in files).replace("\\", "")
    used = re.findall(r"(\w+_(?:com|io):\w+)\{([^}]*)\}", source)
    assert len(used) == len(re.findall(r"\b\w+_(?:com|io):\w+", source)) > 6, "a query without labels"
    for metric, labels in used:
        resource, known = GOOGLE_METRICS[metric]
        selected = dict(re.findall(r'(\w+)=~?"([^"]*)"', labels))
        assert selected.pop("monitored_resource") == resource, metric
        assert selected.keys() <= known, metric


def test_builds_have_a_log() -> None:
    """A build with a service account of its own needs a destination for its log, or it is refused."""
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    assert build["options"]["logging"] == "CLOUD_LOGGING_ONLY"
    assert build["options"]["substitutionOption"] == "ALLOW_LOOSE"


def test_quotas_in_the_guide_cover_the_examples() -> None:
    """The table of quotas has the numbers of the committed environments."""
    guide = (ROOT / "docs" / "operating" / "deploy.md").read_text()
    rows = {
        name: cells
        for name, *cells in re.findall(r"^\| \**`(\w+)`[^|]*\| ([^|]*) \| ([^|]*) \|", guide, re.MULTILINE)
    }
    for column, environment in enumerate(ENVIRONMENTS):
        pools = gpu_pools(environment)
        cluster = parsed(f"environments/{environment}.tfvars")["cluster"]
        nodes = {name: each["max_nodes"] for name, each in pools.items()}
        assert rows["GPUS_ALL_REGIONS"][column] == str(sum(nodes.values()))
        assert rows["PREEMPTIBLE_NVIDIA_L4_GPUS"][column] == str(nodes["l4-spot"])
        disks = 50 * (cluster["system_nodes_max"] + 1)
        default = int(re.findall(r"disk_gb\s*= optional\(number, (\d+)\)", text("variables_workers.tf"))[0])
        disks += sum(each["max_nodes"] * each.get("disk_gb", default) for each in pools.values())
        assert rows["SSD_TOTAL_GB"][column].replace(",", "") == str(disks)


def variables_with_rules() -> set[str]:
    return {
        variable
        for file in ("variables.tf", "variables_workers.tf")
        for found in parsed(file)["variable"]
        for variable in found
        if "validation" in block(file, "variable", variable)
    }


def test_bad_values_of_every_variable_are_tested() -> None:
    refused = set(re.findall(r"\bvar\.(\w+)", text("tests/refusals.tftest.hcl")))
    assert variables_with_rules() - refused == set()
    free = {"api_image", "deletion_protection", "identity_platform_enabled"}
    variables = {
        v for file in ("variables.tf", "variables_workers.tf") for f in parsed(file)["variable"] for v in f
    }
    assert variables - variables_with_rules() == free, "a variable without rules"
