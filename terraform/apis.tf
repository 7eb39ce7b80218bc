# The Google Cloud services that darkroom uses, and the service agents with which two of them act on others. Those that use
# customer-managed keys are in keys.tf.

locals {
  services = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "binaryauthorization.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "cloudtrace.googleapis.com",
      "compute.googleapis.com",
      "container.googleapis.com",
      "containerfilesystem.googleapis.com", # streams images to nodes
      "containerscanning.googleapis.com",
      "firebase.googleapis.com",
      "firebaserules.googleapis.com",
      "firestore.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com", # signs links to images
      "identitytoolkit.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "ondemandscanning.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "secretmanager.googleapis.com",
      "storage.googleapis.com",
      "telemetry.googleapis.com", # takes OTLP
    ],
    var.budget == null ? [] : ["billingbudgets.googleapis.com"],
    var.domain == null ? [] : ["certificatemanager.googleapis.com"],
    length(local.kms_keys) == 0 ? [] : ["cloudkms.googleapis.com"],
  ))

  # Every resource reads its project from here, so that none is created before the services are enabled.
  project = distinct([for service in google_project_service.enabled : service.project])[0]
}

resource "google_project_service" "enabled" {
  for_each = local.services

  project = var.project_id
  service = each.value
  # Other workloads in the project may use it, too.
  disable_on_destroy = false
}

# Created here because the service creates them only at first use, which is after they need permissions.
resource "google_project_service_identity" "pubsub" {
  provider = google-beta

  project = local.project
  service = "pubsub.googleapis.com"
}

resource "google_project_service_identity" "scheduler" {
  provider = google-beta

  project = local.project
  service = "cloudscheduler.googleapis.com"
}
