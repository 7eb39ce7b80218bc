# The path of a task: topics, subscriptions, the API, the scheduler. Only plans with mocked providers: no cloud is called.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "google-beta" {}
mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  project_id         = "example-project"
  environment        = "test"
  model_catalog_file = "tests/three_models.json"
  model_pools = {
    demo  = ["demo"]
    large = ["sdxl", "flux"]
  }
  domain           = null
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "subscription_filters_by_its_pool" {
  command = plan

  assert {
    condition = { for name, subscription in google_pubsub_subscription.tasks : subscription.name => subscription.filter } == {
      darkroom-tasks-demo  = "attributes.pool = \"demo\""
      darkroom-tasks-large = "attributes.pool = \"large\""
    }
    error_message = "a filter is immutable, so it must not contain the pool's models, which may change"
  }
  assert {
    condition     = contains([for env in google_cloud_run_v2_service.api.template[0].containers[0].env : "${env.name}=${env.value}" if length(env.value_source) == 0], "DARKROOM_MODEL_POOLS={\"demo\":[\"demo\"],\"large\":[\"sdxl\",\"flux\"]}")
    error_message = "the API writes the pool into each message, so it needs the pools"
  }
  assert {
    condition = alltrue([for subscription in google_pubsub_subscription.tasks : alltrue([
      subscription.ack_deadline_seconds == 60,
      subscription.message_retention_duration == "604800s",
      subscription.expiration_policy[0].ttl == "",
      subscription.dead_letter_policy[0].max_delivery_attempts == 100,
      subscription.retry_policy[0].minimum_backoff == "5s",
    ])])
    error_message = "a tasks' subscription has an ack deadline of a minute, keeps messages for a week, never expires and dead-letters late"
  }
}

run "moved_model_changes_no_subscription" {
  command = plan

  variables {
    model_pools = {
      demo  = ["demo", "sdxl"]
      large = ["flux"]
    }
  }

  assert {
    condition     = [for subscription in google_pubsub_subscription.tasks : subscription.filter] == ["attributes.pool = \"demo\"", "attributes.pool = \"large\""]
    error_message = "the same pools need the same subscriptions"
  }
}

run "subscription_in_use_cannot_be_destroyed" {
  command = plan

  variables {
    deletion_protection = true
    draining_pools      = ["old"]
  }

  assert {
    condition = { for name, subscription in google_pubsub_subscription.tasks : name => subscription.deletion_policy } == {
      demo  = "PREVENT"
      large = "PREVENT"
      old   = "DELETE"
    }
    error_message = "deleting a subscription deletes its messages: only that of a draining pool may be removed"
  }
  assert {
    condition = (
      toset(keys(google_pubsub_subscription_iam_member.workers_pull)) == toset(["demo", "large", "old"]) &&
      toset(keys(google_pubsub_subscription_iam_member.agent_acknowledges_what_it_forwards)) == toset(["demo", "large", "old"])
    )
    error_message = "a draining subscription keeps its subscribers and its dead-letter policy"
  }
  assert {
    condition = alltrue([for resource in concat(
      values(google_pubsub_topic.topics),
      values(google_pubsub_subscription.pushes),
      [google_pubsub_subscription.dead_letters_archive],
    ) : resource.deletion_policy == "PREVENT"])
    error_message = "topics and the other subscriptions also contain messages"
  }
}

run "resources_can_be_destroyed_without_deletion_protection" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = alltrue([for resource in concat(values(google_pubsub_topic.topics), values(google_pubsub_subscription.tasks)) : resource.deletion_policy == "DELETE"])
    error_message = "deletion_protection is the only switch"
  }
}

run "pool_can_be_created_before_its_catalog" {
  command = plan

  variables {
    model_catalog_file = null
  }

  expect_failures = [check.pools_name_models_on_offer]
}

run "catalog_that_terraform_does_not_read_is_not_checked" {
  command = plan

  variables {
    model_catalog_file = null
    model_pools        = { large = ["sdxl"] }
    api_settings       = { DARKROOM_MODEL_CATALOG = "/elsewhere/catalog.json" }
  }

  assert {
    condition     = length(google_pubsub_subscription.tasks) == 1
    error_message = "the API offers only models that are in a pool"
  }
}

run "pubsub_can_forward_dead_letters" {
  command = plan

  assert {
    condition = (
      google_pubsub_topic_iam_member.agent_forwards_dead_letters.topic == "darkroom-dead-letters" &&
      google_pubsub_topic_iam_member.agent_forwards_dead_letters.role == "roles/pubsub.publisher"
    )
    error_message = "without this permission Pub/Sub silently keeps dead letters instead of forwarding them"
  }
  assert {
    condition = alltrue([
      for name, member in google_pubsub_subscription_iam_member.agent_acknowledges_what_it_forwards :
      member.role == "roles/pubsub.subscriber" && member.subscription == "darkroom-tasks-${name}"
    ]) && length(google_pubsub_subscription_iam_member.agent_acknowledges_what_it_forwards) == 2
    error_message = "Pub/Sub's agent must be a subscriber of every subscription whose dead letters it forwards"
  }
}

run "pushes_and_scheduler_use_the_callers_account" {
  command = plan

  assert {
    condition = alltrue([for push in concat(
      [for subscription in google_pubsub_subscription.pushes : {
        url      = subscription.push_config[0].push_endpoint
        audience = subscription.push_config[0].oidc_token[0].audience
      }],
      [for job in google_cloud_scheduler_job.clockwork : {
        url      = job.http_target[0].uri
        audience = job.http_target[0].oidc_token[0].audience
      }],
    ) : push.audience == output.api_url && startswith(push.url, "${output.api_url}/internal/")])
    error_message = "callers of /internal send a token whose audience is the API's own URL"
  }
  assert {
    condition     = google_cloud_scheduler_job.clockwork["darkroom-rescue"].schedule == "* * * * *"
    error_message = "rescue runs each minute"
  }
}

run "api_accepts_more_requests_than_it_has_threads" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.api.template[0].max_instance_request_concurrency == 732
    error_message = "the concurrency is the number of waiting callers (600) plus that of requests in progress (32) and 100 more"
  }
  assert {
    condition = (
      google_cloud_run_v2_service.api.template[0].containers[0].startup_probe[0].http_get[0].path == "/readyz" &&
      google_cloud_run_v2_service.api.template[0].containers[0].liveness_probe[0].http_get[0].path == "/healthz"
    )
    error_message = "a revision receives traffic once its dependencies respond, and is restarted only when it is stuck itself"
  }
  assert {
    condition = toset([
      for env in google_cloud_run_v2_service.api.template[0].containers[0].env : env.name if length(env.value_source) > 0
    ]) == toset(["DARKROOM_AUTOSCALING_TOKEN", "DARKROOM_WEBHOOK_KEY"])
    error_message = "secrets, and only secrets, come from Secret Manager"
  }
}

run "work_after_a_response_has_cpu" {
  command = plan

  variables {
    api = {}
  }

  assert {
    condition     = !google_cloud_run_v2_service.api.template[0].containers[0].resources[0].cpu_idle
    error_message = "publish confirmations and metrics are written after the response, when Cloud Run would throttle the CPU"
  }
}

run "api_and_workers_get_the_same_price" {
  command = plan

  variables {
    price_per_gpu_second = 0.0002
    price_currency       = "EUR"
    api_settings         = { DARKROOM_MAX_ACTIVE_TASKS = "100" }
  }

  assert {
    condition = alltrue([for line in ["DARKROOM_PRICE_PER_GPU_SECOND=0.0002", "DARKROOM_PRICE_CURRENCY=EUR"] :
      strcontains(output.worker_settings, line) &&
      contains([for env in google_cloud_run_v2_service.api.template[0].containers[0].env : "${env.name}=${env.value}" if length(env.value_source) == 0], line)
    ])
    error_message = "the API and the workers must use the same price"
  }
  assert {
    condition     = contains([for env in google_cloud_run_v2_service.api.template[0].containers[0].env : "${env.name}=${env.value}" if length(env.value_source) == 0], "DARKROOM_MAX_ACTIVE_TASKS=100")
    error_message = "any other setting of the API can be set"
  }
}

run "images_outlive_their_tasks" {
  command = plan

  variables {
    keep_tasks_for_days = 7
    give_up_after_days  = 10
  }

  assert {
    condition     = one(google_storage_bucket.images.lifecycle_rule[0].condition).age == 26
    error_message = "the images' maximum age must be twice the retention of tasks plus the longest wait plus two days"
  }
  assert {
    condition = (
      one(google_storage_bucket.images.lifecycle_rule[0].condition).matches_prefix == tolist(["tasks/"]) &&
      one(google_storage_bucket.images.lifecycle_rule[1].condition).matches_prefix == tolist(["uploads/"]) &&
      one(google_storage_bucket.images.lifecycle_rule[2].condition).matches_prefix == tolist(["inputs/"]) &&
      one(google_storage_bucket.images.lifecycle_rule[2].condition).days_since_custom_time == 1
    )
    error_message = "inputs must be deleted by their own expiry, not by the age of images"
  }
}
