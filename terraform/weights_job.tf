# A job that downloads models of the Hugging Face Hub into the weights bucket: docs/operating/models.md describes its use.
# Its account can write below models/ and read the hub's token, and nothing else.

locals {
  weights_folder = "models"
}

resource "google_service_account" "weights" {
  count = var.weights_job == null ? 0 : 1

  project      = local.project
  account_id   = "darkroom-weights"
  display_name = "darkroom: the job that downloads models"
}

resource "google_project_iam_custom_role" "weights_writer" {
  project     = local.project
  role_id     = "darkroomWeightsWriter"
  title       = "darkroom: weights writer"
  description = "Read, create and replace objects, but not list them"
  permissions = ["storage.objects.create", "storage.objects.delete", "storage.objects.get"]
}

resource "google_storage_bucket_iam_member" "job_writes_weights" {
  count = var.weights_job == null ? 0 : 1

  bucket = google_storage_bucket.weights.name
  role   = google_project_iam_custom_role.weights_writer.name
  member = google_service_account.weights[0].member

  condition {
    title      = "Models only"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.weights_bucket}/objects/${local.weights_folder}/\")"
  }
}

# Its versions are added manually, so that the token is neither in variables nor in the state.
resource "google_secret_manager_secret" "hub_token" {
  count = var.weights_job == null ? 0 : 1

  project             = local.project
  secret_id           = "darkroom-hub-token"
  deletion_protection = false # a new token can be created at any time

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "job_reads_hub_token" {
  count = var.weights_job == null ? 0 : 1

  project   = local.project
  secret_id = google_secret_manager_secret.hub_token[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.weights[0].member
}

resource "google_cloud_run_v2_job" "weights" {
  count = var.weights_job == null ? 0 : 1

  project             = local.project
  name                = "darkroom-weights"
  location            = var.region
  deletion_protection = false # it stores nothing

  template {
    task_count = 1

    template {
      service_account = google_service_account.weights[0].email
      max_retries     = 1 # a repeated run skips the files that are stored
      timeout         = "43200s"

      containers {
        image   = var.weights_job.image
        command = ["python", "-m", "gpu_subscriber.download_model", "--to=gs://${google_storage_bucket.weights.name}/${local.weights_folder}"]
        # `gcloud run jobs execute --args` names the model.
        args = ["--help"]

        resources {
          limits = { cpu = "2", memory = "2Gi" }
        }

        dynamic "env" {
          for_each = var.weights_job.hub_token ? ["HF_TOKEN"] : []
          content {
            name = env.value
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.hub_token[0].secret_id
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [google_secret_manager_secret_iam_member.job_reads_hub_token]
}
