# Cloud Build's identity, with only the permissions to test, build and roll out.

locals {
  build_region = coalesce(var.build_region, var.region)
}

resource "google_storage_bucket" "builds" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs record reads, where the project enables them
  #checkov:skip=CKV_GCP_78:a build's source is uploaded only once
  project                     = local.project
  name                        = "${var.project_id}-darkroom-builds"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  dynamic "encryption" {
    for_each = local.bucket_keys
    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle_rule {
    condition {
      age = 30
    }
    action {
      type = "Delete"
    }
  }
}

# It reads its source there, and stores the SBOM of each image beside it.
resource "google_storage_bucket_iam_member" "builder_keeps_builds" {
  bucket = google_storage_bucket.builds.name
  role   = "roles/storage.objectUser"
  member = google_service_account.builder.member
}

resource "google_artifact_registry_repository_iam_member" "builder_pushes" {
  project    = local.project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
}

resource "google_cloud_run_v2_service_iam_member" "builder_deploys" {
  project  = local.project
  location = var.region
  name     = google_cloud_run_v2_service.api.name
  role     = "roles/run.developer"
  member   = google_service_account.builder.member
}

# A revision runs as the API's account: the builder needs permission to use it.
resource "google_service_account_iam_member" "builder_acts_as_api" {
  service_account_id = google_service_account.api.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.builder.member
}

# The same for workers on Cloud Run.
resource "google_cloud_run_v2_worker_pool_iam_member" "builder_updates_workers" {
  count = var.cloud_run_workers == null ? 0 : 1

  project  = local.project
  location = google_cloud_run_v2_worker_pool.workers[0].location
  name     = google_cloud_run_v2_worker_pool.workers[0].name
  role     = "roles/run.developer"
  member   = google_service_account.builder.member
}

resource "google_service_account_iam_member" "builder_acts_as_worker" {
  count = var.cloud_run_workers == null ? 0 : 1

  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.builder.member
}

resource "google_project_iam_member" "builder" {
  for_each = toset(concat(
    ["roles/logging.logWriter", "roles/ondemandscanning.admin"],
    var.cluster.enabled ? ["roles/container.developer"] : [],
  ))

  project = local.project
  role    = each.value
  member  = google_service_account.builder.member
}

# Optional: a release for each push to a branch.
resource "google_cloudbuild_trigger" "release" {
  count = var.release_trigger == null ? 0 : 1

  project         = local.project
  location        = local.build_region
  name            = "darkroom-release"
  description     = "Tests, builds and deploys darkroom"
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.builder.id

  repository_event_config {
    repository = var.release_trigger.repository
    push {
      branch = var.release_trigger.branch
    }
  }
  approval_config {
    approval_required = var.release_trigger.needs_approval
  }
  substitutions = {
    _CLUSTER          = local.cluster_name
    _CLUSTER_LOCATION = local.cluster_location
    _POOLS            = join(" ", var.release_trigger.overlays)
    _REGION           = var.region
    _REVISION         = "$COMMIT_SHA"
    _WORKER_POOL      = var.cloud_run_workers == null ? "" : local.worker_pool
  }
}
