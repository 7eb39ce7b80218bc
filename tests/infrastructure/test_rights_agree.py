"""Terraform grants the permissions that the adapters need; custom roles contain no others."""

import ast
import re
from pathlib import Path

import pytest

from tests.infrastructure.terraform_files import TERRAFORM, resources

ROOT = TERRAFORM.parent
ADAPTERS = {"api": ("common", "frontend_api"), "worker": ("common", "gpu_subscriber")}
KINDS = (
    "google_cloud_run_v2_worker_pool_iam_member",
    "google_project_iam_member",
    "google_pubsub_subscription_iam_member",
    "google_pubsub_topic_iam_member",
    "google_service_account_iam_member",
    "google_storage_bucket_iam_member",
)
# The permission that each client method needs, per Google's references. An upload may replace an
# object.
NEEDS = {
    "firestore": {
        "create": {"datastore.entities.create"},
        "delete": {"datastore.entities.delete"},
        "get": {"datastore.entities.get", "datastore.entities.list"},
        "get_all": {"datastore.entities.get"},
        "on_snapshot": {"datastore.entities.get", "datastore.entities.list"},
        "set": {"datastore.entities.create", "datastore.entities.update"},
        "update": {"datastore.entities.update"},
    },
    "gcs": {
        "delete": {"storage.objects.delete"},
        "download_as_bytes": {"storage.objects.get"},
        "get_blob": {"storage.objects.get"},
        "create_resumable_upload_session": {"storage.objects.create"},
        "patch": {"storage.objects.update"},
        "upload_from_file": {"storage.objects.create"},
        "generate_signed_url": {"iam.serviceAccounts.signBlob", "storage.objects.get"},
        "list_blobs": {"storage.objects.list"},
        "reload": {"storage.objects.get"},
        "upload_from_string": {"storage.objects.create", "storage.objects.delete"},
    },
    "cloud": {"_call": {"run.workerPools.get", "run.workerPools.update"}},
    "pubsub": {
        "publish": {"pubsub.topics.publish"},
        "subscribe": {"pubsub.subscriptions.consume"},
    },
}
# The permissions of Google's own roles, as far as they are needed here.
HOLDS = {
    "roles/pubsub.publisher": {"pubsub.topics.publish"},
    "roles/pubsub.subscriber": {"pubsub.subscriptions.consume"},
    "roles/storage.objectUser": {
        f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update")
    },
    "roles/storage.objectViewer": {"storage.objects.get", "storage.objects.list"},
}
OWN_ROLES = ("documents", "image_keeper", "input_writer", "link_signer", "pool_sizer")
each_process = pytest.mark.parametrize("process", sorted(ADAPTERS))


def own_role(name: str) -> set[str]:
    return set(resources("google_project_iam_custom_role")[name]["permissions"])


def needed(process: str) -> set[str]:
    """Return the permissions for every method that the process's adapters call."""
    found: set[str] = set()
    for room in ADAPTERS[process]:
        adapters = ROOT / room / "adapters"
        for path in adapters.rglob("*.py"):
            technology = path.relative_to(adapters).parts[0].split("_")[0]
            methods = NEEDS.get(technology, {})
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    found |= methods.get(node.func.attr, set())
    return found


def granted(process: str) -> set[str]:
    """Return the permissions in every role that Terraform grants the process's account."""
    found: set[str] = set()
    for kind in KINDS:
        for member in resources(kind).values():
            if f"google_service_account.{process}.member" in str(member):
                own = re.search(r"google_project_iam_custom_role\.(\w+)\.name", member["role"])
                found |= own_role(own[1]) if own else HOLDS.get(member["role"], set())
    return found


@each_process
def test_process_has_the_permissions_of_its_calls(process: str) -> None:
    assert len(needed(process)) > 6
    assert needed(process) - granted(process) == set()


def test_custom_roles_have_no_unused_permissions() -> None:
    everything = needed("api") | needed("worker")
    # Firestore requires it for calls that belong to no document, such as an empty commit.
    assert set().union(*map(own_role, OWN_ROLES)) - everything == {"datastore.databases.get"}


def test_adapters_read_no_resource_except_the_probed_topic() -> None:
    """Publishers may not read topics, nor object users buckets; such code must handle the refusal."""
    looking = re.compile(r"\.(get_topic|get_subscription|get_bucket|lookup_bucket|exists)\(")
    found = {
        (path.name, match)
        for rooms in ADAPTERS.values()
        for room in rooms
        for path in Path(ROOT / room / "adapters").glob("*.py")
        for match in looking.findall(path.read_text())
    }
    assert found == {("dependency_probes.py", "get_topic")}


def test_only_the_api_may_read_the_key_of_the_seals() -> None:
    """A worker may write every document; without the key it cannot seal one."""
    readers = resources("google_secret_manager_secret_iam_member")
    members = {name: reader["member"] for name, reader in readers.items()}
    assert set(members) == {"api", "job_reads_hub_token", "keda"}
    assert "hub_token[0]" in readers["job_reads_hub_token"]["secret_id"]
    assert "service_account.api." in members["api"]
    assert "autoscaling_token" in readers["keda"]["secret_id"]
    assert not any("google_project_iam" in kind for kind in _kinds_with("roles/secretmanager"))


def _kinds_with(role: str) -> set[str]:
    """Return the kinds of resources that grant a role whose name begins like this."""
    texts = [path.read_text() for path in TERRAFORM.glob("*.tf")]
    blocks = [found for text in texts for found in re.findall(r'^resource "(\w+)"(.*?)^}', text, re.M | re.S)]
    return {kind for kind, body in blocks if role in body}
