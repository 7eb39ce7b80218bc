# For those who need a GPU or two and no cluster: the same image on Cloud Run. Its number is set by hand.

resource "google_cloud_run_v2_worker_pool" "workers" {
  count = var.cloud_run_workers == null ? 0 : 1

  project             = local.project
  name                = "darkroom-worker"
  location            = var.region
  deletion_protection = var.deletion_protection

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.cloud_run_workers.instances
  }

  template {
    service_account               = google_service_account.worker.email
    gpu_zonal_redundancy_disabled = true # half the price: another worker takes over what a zone loses

    node_selector {
      accelerator = var.cloud_run_workers.gpu
    }

    containers {
      image = var.cloud_run_workers.image

      resources {
        limits = {
          cpu              = var.cloud_run_workers.cpu
          memory           = var.cloud_run_workers.memory
          "nvidia.com/gpu" = "1"
        }
      }

      dynamic "env" {
        for_each = merge(local.worker_settings, local.prices, {
          DARKROOM_DEVICE       = "cuda"
          DARKROOM_HEALTH_PORT  = "8081"
          DARKROOM_MODELS       = join(",", var.model_pools[var.cloud_run_workers.model_pool])
          DARKROOM_SUBSCRIPTION = google_pubsub_subscription.tasks[var.cloud_run_workers.model_pool].name
          # Cloud Run kills 10 s after SIGTERM, and the goodbye takes 7.
          DARKROOM_DRAIN_DEADLINE_SECONDS = "3"
        }, var.model_catalog_file == null ? {} : { DARKROOM_MODEL_CATALOG = "/weights/${local.model_catalog}" })
        content {
          name  = env.key
          value = env.value
        }
      }

      # Up to twenty minutes: an engine may load for DARKROOM_ENGINE_LOADING_SECONDS.
      startup_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 120
        http_get {
          path = "/healthz"
          port = 8081
        }
      }
      # A minute, as long as leases and claims outlive a stall.
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 6
        http_get {
          path = "/healthz"
          port = 8081
        }
      }

      volume_mounts {
        name       = "weights"
        mount_path = "/weights"
      }
    }

    volumes {
      name = "weights"
      gcs {
        bucket    = google_storage_bucket.weights.name
        read_only = true
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  # Without these rights its instances would not start.
  depends_on = [
    google_project_iam_member.documents,
    google_pubsub_subscription_iam_member.workers_pull,
    google_storage_bucket_iam_member.readers_of_weights,
    google_storage_bucket_iam_member.workers_write_images,
  ]
}

locals {
  # What every worker is told, here and in gpu_subscriber/k8s/environment/settings.env.
  worker_settings = {
    DARKROOM_DEAD_LETTER_TOPIC = local.topics.dead_letters
    DARKROOM_EVENTS_TOPIC      = local.topics.events
    DARKROOM_IMAGES_BUCKET     = google_storage_bucket.images.name
    DARKROOM_PROJECT_ID        = var.project_id
    DARKROOM_TASKS_TOPIC       = local.topics.tasks
  }
  # The API tells callers, workers count by them.
  prices = var.price_per_gpu_second == null ? {} : {
    DARKROOM_PRICE_CURRENCY       = var.price_currency
    DARKROOM_PRICE_PER_GPU_SECOND = tostring(var.price_per_gpu_second)
  }
}
