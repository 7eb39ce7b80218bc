# Buckets for images and checkpoints, and for model weights.

locals {
  images_bucket  = "${var.project_id}-darkroom-images"
  weights_bucket = "${var.project_id}-darkroom-weights"
  # The path that gpu_subscriber/k8s/weights reads, under the bucket's mount.
  model_catalog = "model_catalog.json"
}

resource "google_storage_bucket" "images" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs record reads, where the project enables them
  #checkov:skip=CKV_GCP_78:an image's name contains its attempt and is written once; old versions would be checkpoints
  project                     = local.project
  name                        = local.images_bucket
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  dynamic "encryption" {
    for_each = local.bucket_keys
    content {
      default_kms_key_name = encryption.value
    }
  }

  # The fallback for the TTL policy: docs/adr/0009-expiry-of-tasks-and-images.md derives the sum.
  lifecycle_rule {
    condition {
      age            = 2 * local.keep_tasks_for_days + local.give_up_after_days + 2
      matches_prefix = ["tasks/"]
    }
    action {
      type = "Delete"
    }
  }
  # Files of resumable uploads that no caller completed.
  lifecycle_rule {
    condition {
      age            = 1
      matches_prefix = ["uploads/"]
    }
    action {
      type = "Delete"
    }
  }
  # An input's custom time is its expiry, which each task that uses it moves into the future.
  lifecycle_rule {
    condition {
      days_since_custom_time = 1
      matches_prefix         = ["inputs/"]
    }
    action {
      type = "Delete"
    }
  }
  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  # Off: each long Run overwrites its checkpoint every few seconds, and every copy would be kept and billed for a week.
  # Also, an image that its owner deletes must be gone.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  cors {
    origin          = concat([for host in local.page_hosts : "https://${host}"], var.browser_origins)
    method          = ["GET", "HEAD", "PUT"]
    response_header = ["Content-Type", "Content-Length", "ETag", "Accept-Ranges", "Content-Range", "Range"]
    max_age_seconds = 3600
  }
}

resource "google_storage_bucket" "weights" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs record reads, where the project enables them
  project                     = local.project
  name                        = local.weights_bucket
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  dynamic "encryption" {
    for_each = local.bucket_keys
    content {
      default_kms_key_name = encryption.value
    }
  }

  versioning {
    enabled = true
  }
  lifecycle_rule {
    condition {
      num_newer_versions = 2
      with_state         = "ARCHIVED"
    }
    action {
      type = "Delete"
    }
  }
}

# The model catalog, beside the weights. Processes read it at startup.
resource "google_storage_bucket_object" "model_catalog" {
  count = var.model_catalog_file == null ? 0 : 1

  bucket       = google_storage_bucket.weights.name
  name         = local.model_catalog
  content      = file(var.model_catalog_file)
  content_type = "application/json"
}

resource "google_storage_bucket_iam_member" "api_keeps_images" {
  bucket = google_storage_bucket.images.name
  role   = google_project_iam_custom_role.image_keeper.name
  member = google_service_account.api.member
}

# The pictures that callers upload. Only workers write finished images.
resource "google_storage_bucket_iam_member" "api_writes_inputs" {
  bucket = google_storage_bucket.images.name
  role   = google_project_iam_custom_role.input_writer.name
  member = google_service_account.api.member

  condition {
    title      = "Inputs only"
    expression = join(" || ", [for folder in ["inputs", "uploads"] : "resource.name.startsWith(\"projects/_/buckets/${local.images_bucket}/objects/${folder}/\")"])
  }
}

resource "google_storage_bucket_iam_member" "workers_write_images" {
  bucket = google_storage_bucket.images.name
  role   = "roles/storage.objectUser"
  member = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "readers_of_weights" {
  for_each = merge(
    { worker = google_service_account.worker.member },
    var.model_catalog_file == null ? {} : { api = google_service_account.api.member },
  )

  bucket = google_storage_bucket.weights.name
  role   = "roles/storage.objectViewer"
  member = each.value
}
