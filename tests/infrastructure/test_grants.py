"""Every grant of a role: which account has it, on which resource. A grant that is missing, on another
resource or for another account fails here. `test_rights_agree` derives the processes' permissions from
their calls.
"""

import re
from typing import Any

from tests.infrastructure.terraform_files import TERRAFORM, local, parsed

PROJECT = "project"
API, WORKER, NODES, BUILDER, KEDA, WEIGHTS = "api", "worker", "nodes", "builder", "keda", "weights[0]"
PUBSUB, SCHEDULER = "agent of pubsub", "agent of scheduler"
ENCRYPTS = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
GRANTS = {
    (API, "own documents", PROJECT),
    (API, "own image_keeper", "bucket images"),
    (API, "own input_writer", "bucket images"),
    (API, "own link_signer", "account api"),
    (API, "own pool_sizer", "worker pool workers[0]"),
    (API, "roles/iam.serviceAccountUser", "account worker"),
    (API, "roles/pubsub.publisher", "topic tasks"),
    (API, "roles/pubsub.publisher", "topic events"),
    (API, "roles/secretmanager.secretAccessor", "secret webhook_key"),
    (API, "roles/secretmanager.secretAccessor", "secret autoscaling_token"),
    (API, "roles/storage.objectViewer", "bucket weights"),
    (API, "roles/telemetry.metricsWriter", PROJECT),
    (API, "roles/telemetry.tracesWriter", PROJECT),
    (WORKER, "own documents", PROJECT),
    (WORKER, "roles/pubsub.publisher", "topic dead_letters"),
    (WORKER, "roles/pubsub.publisher", "topic events"),
    (WORKER, "roles/pubsub.subscriber", "subscription of each pool"),
    (WORKER, "roles/storage.objectUser", "bucket images"),
    (WORKER, "roles/storage.objectViewer", "bucket weights"),
    (WORKER, "roles/telemetry.metricsWriter", PROJECT),
    (WORKER, "roles/telemetry.tracesWriter", PROJECT),
    ("pod of worker", "roles/iam.workloadIdentityUser", "account worker"),
    (KEDA, "roles/monitoring.viewer", PROJECT),
    (KEDA, "roles/secretmanager.secretAccessor", "secret autoscaling_token"),
    ("pod of keda[0]", "roles/iam.workloadIdentityUser", "account keda[0]"),
    ("agent of storage", ENCRYPTS, "key of buckets"),
    ("agent of firestore", ENCRYPTS, "key of firestore"),
    ("agent of registry", ENCRYPTS, "key of registry"),
    (PUBSUB, ENCRYPTS, "key of topics"),
    (NODES, "roles/artifactregistry.reader", "repository images"),
    (NODES, "roles/container.defaultNodeServiceAccount", PROJECT),
    (BUILDER, "roles/artifactregistry.writer", "repository images"),
    (BUILDER, "roles/container.developer", PROJECT),
    (BUILDER, "roles/iam.serviceAccountUser", "account api"),
    (BUILDER, "roles/iam.serviceAccountUser", "account worker"),
    (BUILDER, "roles/logging.logWriter", PROJECT),
    (BUILDER, "roles/ondemandscanning.admin", PROJECT),
    (BUILDER, "roles/run.developer", "service api"),
    (BUILDER, "roles/run.developer", "worker pool workers[0]"),
    (BUILDER, "roles/storage.objectUser", "bucket builds"),
    (WEIGHTS, "own weights_writer", "bucket weights"),
    (WEIGHTS, "roles/secretmanager.secretAccessor", "secret hub_token"),
    (PUBSUB, "roles/iam.serviceAccountOpenIdTokenCreator", "account caller"),
    (PUBSUB, "roles/pubsub.publisher", "topic dead_letters"),
    (PUBSUB, "roles/pubsub.subscriber", "subscription of each pool"),
    (SCHEDULER, "roles/iam.serviceAccountOpenIdTokenCreator", "account caller"),
}
"""Account, role and resource."""
PREDEFINED_ROLES = {
    "roles/artifactregistry.reader",
    "roles/artifactregistry.writer",
    "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "roles/container.defaultNodeServiceAccount",
    "roles/container.developer",
    "roles/iam.serviceAccountOpenIdTokenCreator",
    "roles/iam.serviceAccountUser",
    "roles/iam.workloadIdentityUser",
    "roles/logging.logWriter",
    "roles/monitoring.viewer",
    "roles/ondemandscanning.admin",
    "roles/pubsub.publisher",
    "roles/pubsub.subscriber",
    "roles/run.developer",
    "roles/secretmanager.secretAccessor",
    "roles/storage.objectUser",
    "roles/storage.objectViewer",
    "roles/telemetry.metricsWriter",
    "roles/telemetry.tracesWriter",
}
"""The roles of Google's list of predefined roles that Terraform grants."""
TARGETS = {
    "bucket": r"google_storage_bucket\.(\w+)\.name",
    "topic": r'google_pubsub_topic\.topics\["(\w+)"\]\.name',
    "repository": r"google_artifact_registry_repository\.(\w+)\.name",
    "service": r"google_cloud_run_v2_service\.(\w+)\.name",
    "worker pool": r"google_cloud_run_v2_worker_pool\.([\w\[\]]+)\.name",
    "account": r"google_service_account\.([\w\[\]]+)\.name",
    "secret": r'google_secret_manager_secret\.(?:secrets\[")?(\w+)(?:"\]|\[0\])\.secret_id',
}
MEMBERS = {
    "": r"google_service_account\.([\w\[\]]+)\.member",
    "agent of ": r"google_project_service_identity\.(\w+)(?:\[\*\])?\.member",
}


def grants() -> set[tuple[str, str, str]]:
    """Return every grant of Terraform's files, with the instances of each `for_each`."""
    return {
        (member(str(values["member"])), role(str(values["role"])), target(kind, values))
        for path in sorted(TERRAFORM.glob("*.tf"))
        for resource in parsed(path.name).get("resource", [])
        for kind, named in resource.items()
        if "_iam_" in kind and kind != "google_project_iam_custom_role"
        for block in named.values()
        for values in instances(block)
    }


def instances(block: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a block for each key of its `for_each`, with the values in place of the references."""
    keys = block.get("for_each")
    if keys is None:
        return [block]
    source = str(keys)
    if isinstance(keys, dict):
        return [replaced(block, value=value) for value in keys.values()]
    if "local.telemetry_writers" in source:
        writers, roles = (local("identity.tf", name) for name in ("telemetry_writers", "telemetry_roles"))
        return [{**block, "member": writer, "role": role} for writer in writers.values() for role in roles]
    if "account = " in source:
        return [
            {**block, "service_account_id": account, "member": f"pod {account}"}
            for account in re.findall(r"account = ([\w.\[\]]+)", source)
        ]
    if source == "${local.secrets}":
        return [replaced(block, value=f'"{key}"') for key in local("secrets.tf", "secrets")]
    if source == "${google_pubsub_subscription.tasks}":
        return [block]
    if source == "${local.kms_keys}":
        users = local("keys.tf", "kms_users")
        return [
            replaced(block, value=name) | {"crypto_key_id": f"key of {name}", "member": user}
            for name, user in users.items()
        ]
    values = re.findall(r'"([\w./]+)"', source) or re.findall(
        r"= (google_service_account\.\w+\.member)", source
    )
    return [
        replaced(block, value=value if "google" in value or "/" in value else f'"{value}"')
        for value in values
    ]


def replaced(block: dict[str, Any], *, value: str) -> dict[str, Any]:
    return {
        name: re.sub(r"each\.(value|key)\b", value.strip("${}"), text) if isinstance(text, str) else text
        for name, text in block.items()
    }


def member(source: str) -> str:
    if source == "${local.keda_accounts[0]}":
        return KEDA
    if "google_storage_project_service_account.agent" in source:
        return "agent of storage"
    for prefix, pattern in MEMBERS.items():
        if found := re.search(pattern, source):
            return prefix + found[1]
    found = re.search(r"^pod google_service_account\.([\w\[\]]+)\.name", source)
    assert found, source
    return f"pod of {found[1]}"


def role(source: str) -> str:
    own = re.search(r"google_project_iam_custom_role\.(\w+)\.name", source)
    return f"own {own[1]}" if own else source.strip("${}")


def target(kind: str, values: dict[str, Any]) -> str:
    if kind == "google_project_iam_member":
        return PROJECT
    if kind == "google_pubsub_subscription_iam_member":
        assert values["for_each"] == "${google_pubsub_subscription.tasks}"
        assert values["subscription"] == "${each.value.name}"
        return "subscription of each pool"
    if kind == "google_kms_crypto_key_iam_member":
        return str(values["crypto_key_id"])
    place = " ".join(
        str(value) for name, value in values.items() if name not in ("member", "role", "for_each")
    )
    for name, pattern in TARGETS.items():
        if found := re.search(pattern, place):
            return f"{name} {found[1]}"
    raise AssertionError(f"{kind}: {values}")


def test_accounts_have_exactly_the_listed_grants() -> None:
    found = grants()
    assert sorted(GRANTS - found) == [], "missing"
    assert sorted(found - GRANTS) == [], "not listed"


def test_roles_are_predefined_or_own() -> None:
    assert {role for _, role, _ in grants() if not role.startswith("own ")} == PREDEFINED_ROLES
    written = {
        name for path in TERRAFORM.glob("*.tf") for name in re.findall(r"roles/[\w.]+", path.read_text())
    }
    assert written - PREDEFINED_ROLES == set()


def test_only_members_are_added_to_policies() -> None:
    """A binding or a policy would remove the grants of others."""
    kinds = {
        kind
        for path in TERRAFORM.glob("*.tf")
        for resource in parsed(path.name).get("resource", [])
        for kind in resource
    }
    assert [kind for kind in kinds if kind.endswith(("_iam_binding", "_iam_policy"))] == []
