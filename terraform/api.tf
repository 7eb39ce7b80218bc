# The API on Cloud Run. Terraform configures the service; cloudbuild.yaml selects the image and routes the traffic.

locals {
  api_name        = "darkroom-api"
  api_network_tag = "darkroom-api"
  # Computed, not read from the service: the service's own environment, the pushes and the scheduler refer to it.
  api_host = "${local.api_name}-${local.project_number}.${var.region}.run.app"
  api_url  = "https://${local.api_host}"

  # Settings that follow from the resources and from other variables; api_settings must not contain them.
  api_derived = {
    DARKROOM_ALERT_FAILED_SHARE         = tostring(local.alert_limits.failed_share)
    DARKROOM_ALERT_OLDEST_SECONDS       = tostring(local.alert_limits.oldest_seconds)
    DARKROOM_ALERT_WAITING_TASKS        = tostring(local.alert_limits.waiting_tasks)
    DARKROOM_ALERT_WASTED_SHARE         = tostring(local.alert_limits.wasted_share)
    DARKROOM_ALLOWED_USERS              = jsonencode(var.allowed_users)
    DARKROOM_API_THREADS                = tostring(local.shared.api.threads)
    DARKROOM_DEAD_LETTER_TOPIC          = local.topics.dead_letters
    DARKROOM_EVENTS_TOPIC               = local.topics.events
    DARKROOM_FIREBASE_WEB_CONFIG        = jsonencode(local.firebase_web_config)
    DARKROOM_GIVE_UP_AFTER_DAYS         = tostring(local.give_up_after_days)
    DARKROOM_IMAGES_BUCKET              = google_storage_bucket.images.name
    DARKROOM_INTERNAL_AUDIENCE          = local.api_url
    DARKROOM_INTERNAL_SERVICE_ACCOUNT   = google_service_account.caller.email
    DARKROOM_KEEP_DEAD_LETTERS_FOR_DAYS = tostring(local.keep_tasks_for_days)
    DARKROOM_KEEP_TASKS_FOR_DAYS        = tostring(local.keep_tasks_for_days)
    DARKROOM_MAX_ACTIVE_GPU_SECONDS     = tostring(var.quotas.active_gpu_seconds)
    DARKROOM_MAX_GPU_SECONDS_PER_DAY    = tostring(var.quotas.gpu_seconds_per_day)
    DARKROOM_MAX_WAITING                = tostring(local.shared.api.max_waiting)
    DARKROOM_MODEL_POOLS                = jsonencode(var.model_pools)
    DARKROOM_OPERATORS                  = jsonencode(var.operators)
    DARKROOM_PROJECT_ID                 = var.project_id
    DARKROOM_SIGNING_SERVICE_ACCOUNT    = google_service_account.api.email
    DARKROOM_TASKS_TOPIC                = local.topics.tasks
    DARKROOM_TRUSTED_PROXIES            = "1" # Cloud Run's front end appends the caller's address to X-Forwarded-For
    # The load balancer appends its caller's address and its own.
    DARKROOM_TRUSTED_PROXY_ADDRESSES = jsonencode(values(google_compute_global_address.domain)[*].address)
  }
  api_environment = merge(
    local.api_derived,
    local.prices,
    var.cloud_run_workers == null ? {} : {
      # The pool whose size the API sets.
      DARKROOM_CLOUD_RUN_WORKERS = jsonencode({
        name          = "projects/${var.project_id}/locations/${var.region}/workerPools/${local.worker_pool}"
        models        = var.model_pools[var.cloud_run_workers.model_pool]
        min_instances = var.cloud_run_workers.instances.min
        max_instances = var.cloud_run_workers.instances.max
      })
    },
    var.domain == null ? {} : { DARKROOM_PUBLIC_URL = local.public_url },
    var.model_catalog_file == null ? {} : { DARKROOM_MODEL_CATALOG = "/weights/${local.model_catalog}" },
  )
  api_decided = toset(concat(keys(local.api_environment), [for secret in local.secrets : secret.variable]))
}

resource "google_cloud_run_v2_service" "api" {
  project             = local.project
  name                = local.api_name
  location            = var.region
  ingress             = local.run_app_is_open ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  deletion_protection = var.deletion_protection
  # The API itself checks Firebase tokens and API keys, on every route except the page.
  # Cloud Run would refuse browsers and KEDA, and remove the signatures of the tokens of Pub/Sub and the scheduler.
  invoker_iam_disabled = true

  template {
    service_account       = google_service_account.api.email
    execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
    # More than the threads, so that the process refuses the excess of a caller that occupies all of them.
    max_instance_request_concurrency = local.shared.api.max_waiting + local.shared.api.threads + 100
    timeout                          = "3600s" # an event stream stays open as long as its task

    scaling {
      min_instance_count = var.api.min_instances
      max_instance_count = var.api.max_instances
    }

    vpc_access {
      # All traffic, so that webhooks use the fixed addresses and pass the firewall.
      egress = "ALL_TRAFFIC"
      network_interfaces {
        network    = local.network.id
        subnetwork = local.network.api
        tags       = [local.api_network_tag]
      }
    }

    containers {
      image = var.api_image

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = var.api.cpu, memory = var.api.memory }
        cpu_idle          = !var.api.cpu_always # see docs/adr/0021-publish-confirmations-after-the-response.md
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = merge(var.api_settings, local.api_environment)
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.secrets
        content {
          name = env.value.variable
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.secrets[env.key].secret_id
              version = google_secret_manager_secret_version.secrets[env.key].version
            }
          }
        }
      }

      # A revision that cannot reach Firestore and Pub/Sub receives no traffic.
      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 4 # /readyz gives each dependency two seconds
        failure_threshold = 24
        http_get {
          path = "/readyz"
          port = 8080
        }
      }
      # Restarts only a stuck process; an unavailable dependency is no reason for a restart.
      liveness_probe {
        period_seconds    = 15
        timeout_seconds   = 5
        failure_threshold = 4
        http_get {
          path = "/healthz"
          port = 8080
        }
      }

      dynamic "volume_mounts" {
        for_each = google_storage_bucket_object.model_catalog
        content {
          name       = "weights"
          mount_path = "/weights"
        }
      }
    }

    dynamic "volumes" {
      for_each = google_storage_bucket_object.model_catalog
      content {
        name = "weights"
        gcs {
          bucket        = google_storage_bucket.weights.name
          read_only     = true
          mount_options = ["implicit-dirs"]
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [
      client,
      client_version,
      template[0].containers[0].image,
      template[0].labels, # gcloud adds a nonce to each revision that it creates
      traffic,
    ]

    precondition {
      condition     = length(setintersection(keys(var.api_settings), local.api_decided)) == 0
      error_message = "api_settings: ${join(", ", setintersection(keys(var.api_settings), local.api_decided))} is derived from other variables and cannot be set here."
    }
  }

  # Its first revision does not start without its permissions, and Terraform would mark the service as tainted.
  # A revision with quotas of GPU seconds needs their index for each submission.
  depends_on = [time_sleep.roles_take_effect, google_firestore_index.composite]
}

# A granted role takes up to two minutes to take effect.
resource "time_sleep" "roles_take_effect" {
  create_duration = "120s"

  depends_on = [
    google_project_iam_member.documents,
    google_pubsub_subscription_iam_member.workers_pull,
    google_pubsub_topic_iam_member.api_publishes,
    google_secret_manager_secret_iam_member.api,
    google_storage_bucket_iam_member.readers_of_weights,
    google_storage_bucket_iam_member.workers_write_images,
  ]
}
