"""The Google services that Terraform enables are those that resources, processes and the pipeline call."""

import re

from tests.infrastructure.dockerfiles import ROOT
from tests.infrastructure.terraform_files import TERRAFORM, parsed, text

OF_RESOURCES = {
    "google_artifact_registry": "artifactregistry",
    "google_billing_budget": "billingbudgets",
    "google_binary_authorization": "binaryauthorization",
    "google_certificate_manager": "certificatemanager",
    "google_cloud_run": "run",
    "google_cloud_scheduler": "cloudscheduler",
    "google_cloudbuild": "cloudbuild",
    "google_compute": "compute",
    "google_container": "container",
    "google_firebase_": "firebase",
    "google_firebaserules": "firebaserules",
    "google_firestore": "firestore",
    "google_identity_platform": "identitytoolkit",
    "google_kms": "cloudkms",
    "google_monitoring": "monitoring",
    "google_project_iam": "cloudresourcemanager",
    "google_project_service": None,  # enabled before the first apply
    "google_pubsub": "pubsub",
    "google_secret_manager": "secretmanager",
    "google_service_account": "iam",
    "google_storage": "storage",
}
OF_CALLS = {
    "cloudbuild": "gcloud builds submit",
    "cloudtrace": "the console shows traces",
    "containerfilesystem": "nodes stream images",
    "containerscanning": "On-Demand Scanning reads its results",
    "iamcredentials": "the API signs links; Workload Identity",
    "logging": "every process logs",
    "ondemandscanning": "the pipeline's scan",
    "telemetry": "metrics and traces by OTLP",
}


def enabled() -> set[str]:
    return set(re.findall(r'"([a-z]+)\.googleapis\.com"', text("apis.tf").partition("# Every resource")[0]))


def needed() -> set[str]:
    kinds = {
        kind
        for path in TERRAFORM.glob("*.tf")
        for resource in parsed(path.name).get("resource", [])
        for kind in resource
        if kind.startswith("google_")
    }
    found = set()
    for kind in kinds:
        (service,) = [service for prefix, service in OF_RESOURCES.items() if kind.startswith(prefix)]
        found |= {service} - {None}
    return {service for service in found if service}


def test_services_of_all_calls_are_enabled_and_no_others() -> None:
    assert needed() | set(OF_CALLS) == enabled()


def test_service_agents_that_get_roles_are_created() -> None:
    agents = re.findall(r'service = "([a-z]+)\.googleapis\.com"', text("apis.tf") + text("keys.tf"))
    assert sorted(agents) == ["artifactregistry", "cloudscheduler", "firestore", "pubsub"]


def test_first_services_are_enabled_manually() -> None:
    guide = (ROOT / "docs" / "operating" / "deploy.md").read_text()
    assert "gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com" in guide
