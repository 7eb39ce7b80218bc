# Workers on Cloud Run, with the same image, for a few GPUs without a cluster. The API sets their number by the demand.

resource "google_cloud_run_v2_worker_pool" "workers" {
  count = var.cloud_run_workers == null ? 0 : 1

  project             = local.project
  name                = local.worker_pool
  location            = var.region
  deletion_protection = var.deletion_protection

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.cloud_run_workers.instances.min
  }

  template {
    service_account               = google_service_account.worker.email
    gpu_zonal_redundancy_disabled = true # half the price: another worker takes over the tasks of a failed zone

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

          DARKROOM_DRAIN_DEADLINE_SECONDS = tostring(local.shared.cloud_run.worker_drain_seconds)
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
      # A minute: leases and claims survive a stall of the same length.
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
        bucket        = google_storage_bucket.weights.name
        read_only     = true
        mount_options = ["implicit-dirs"] # the job that downloads models creates objects, but no folders
      }
    }
  }

  lifecycle {
    # The API sets the count each minute: docs/adr/0050-the-api-sets-the-size-of-cloud-runs-workers.md. Releases set the image.
    ignore_changes = [client, client_version, scaling[0].manual_instance_count, template[0].containers[0].image]
  }

  # Its instances do not start without these permissions.
  depends_on = [time_sleep.roles_take_effect]
}

# It can read and change this worker pool, and no other. A change needs permission to use the pool's account, too.
resource "google_cloud_run_v2_worker_pool_iam_member" "api_sets_size" {
  count = var.cloud_run_workers == null ? 0 : 1

  project  = local.project
  location = google_cloud_run_v2_worker_pool.workers[0].location
  name     = google_cloud_run_v2_worker_pool.workers[0].name
  role     = google_project_iam_custom_role.pool_sizer.name
  member   = google_service_account.api.member
}

resource "google_service_account_iam_member" "api_updates_workers" {
  count = var.cloud_run_workers == null ? 0 : 1

  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.api.member
}

resource "google_project_iam_custom_role" "pool_sizer" {
  project     = local.project
  role_id     = "darkroomPoolSizer"
  title       = "darkroom: pool sizer"
  description = "Read and change a worker pool of Cloud Run, but not create or delete it"
  permissions = ["run.workerPools.get", "run.workerPools.update"]
}

locals {
  worker_pool = "darkroom-worker"

  # The settings of every worker, here and in gpu_subscriber/k8s/environment/settings.env.
  worker_settings = {
    DARKROOM_DEAD_LETTER_TOPIC = local.topics.dead_letters
    DARKROOM_EVENTS_TOPIC      = local.topics.events
    DARKROOM_IMAGES_BUCKET     = google_storage_bucket.images.name
    DARKROOM_PROJECT_ID        = var.project_id
    DARKROOM_TASKS_TOPIC       = local.topics.tasks
  }
  # The API returns prices to callers; workers use them in metrics.
  prices = var.price_per_gpu_second == null ? {} : {
    DARKROOM_PRICE_CURRENCY       = var.price_currency
    DARKROOM_PRICE_PER_GPU_SECOND = tostring(var.price_per_gpu_second)
  }
}
