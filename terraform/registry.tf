# Where the two images are kept.

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:encrypted with Google's keys; no key of one's own guards anything that the images hold
  project       = local.project
  location      = var.region
  repository_id = "darkroom"
  description   = "darkroom-api and darkroom-worker"
  format        = "DOCKER"
  # Without its images no release can be gone back to, and no worker can start.
  deletion_policy = local.deletion_policy

  docker_config {
    immutable_tags = true
  }
  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  # Releases stay, so that any of them can be gone back to: a tag that never changes is never dropped either. They share
  # the layers that are large.
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
