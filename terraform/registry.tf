# The repository of the two images.

locals {
  image_repository = "${var.region}-docker.pkg.dev/${var.project_id}/darkroom"
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:encrypted with Google's keys unless kms_keys is set; the images contain no data
  project       = local.project
  location      = var.region
  repository_id = "darkroom"
  description   = "darkroom-api and darkroom-worker"
  format        = "DOCKER"
  kms_key_name  = lookup(local.usable_keys, "registry", null)
  # Rollbacks and new workers need the images.
  deletion_policy = local.deletion_policy

  docker_config {
    immutable_tags = true
  }
  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  # All releases are kept for rollbacks: immutable tags are never deleted. They share the large layers.
  cleanup_policies {
    id     = "drop-what-no-tag-names"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "86400s"
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "nodes_pull" {
  project    = local.project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}
