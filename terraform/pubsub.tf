# Three topics and their subscriptions. local_stack/provisioning.py creates the same on the emulator.

locals {
  retention = "${local.shared.pubsub.retention_seconds}s"
  # Deleting a topic or subscription deletes its messages: an apply that would do so fails instead.
  deletion_policy = var.deletion_protection ? "PREVENT" : "DELETE"

  pushes = {
    (local.shared.subscriptions.events_push)       = { topic = google_pubsub_topic.topics["events"].id, path = "/internal/events", filter = "" }
    (local.shared.subscriptions.dead_letters_push) = { topic = google_pubsub_topic.topics["dead_letters"].id, path = "/internal/dead-letters", filter = "" }
    # Messages without a pool match no pool's filter, so Pub/Sub would drop them without a trace. They are dead letters.
    "${local.topics.tasks}-without-a-pool" = { topic = google_pubsub_topic.topics["tasks"].id, path = "/internal/dead-letters", filter = "NOT attributes:pool" }
  }
}

resource "google_pubsub_topic" "topics" {
  #checkov:skip=CKV_GCP_83:encrypted with Google's keys, like the prompts in Firestore, unless kms_keys is set
  for_each = local.topics

  project      = local.project
  name         = each.value
  kms_key_name = lookup(local.usable_keys, "topics", null)

  deletion_policy = local.deletion_policy

  # Keeps the prompts in messages within the region.
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

# Each pool of workers has a subscription, so that a pool without workers delays no other pool. A filter is immutable, and
# replacing a subscription deletes its messages. So the filter names the pool and not its models: the API writes the pool
# into each message (docs/adr/0025-a-subscription-per-pool.md).
resource "google_pubsub_subscription" "tasks" {
  for_each = toset(concat(keys(var.model_pools), var.draining_pools))

  project                    = local.project
  name                       = "${local.topics.tasks}-${each.key}"
  topic                      = google_pubsub_topic.topics["tasks"].id
  filter                     = "attributes.pool = \"${each.key}\""
  ack_deadline_seconds       = local.shared.pubsub.lease_seconds
  message_retention_duration = local.retention
  # A drained subscription may be removed; one that gets messages may not.
  deletion_policy = contains(var.draining_pools, each.key) ? "DELETE" : local.deletion_policy

  expiration_policy {
    ttl = "" # never expires, even if a pool has no workers for a long time
  }
  # A hundred deliveries with these pauses take three hours: a shorter outage dead-letters no task.
  retry_policy {
    minimum_backoff = "5s"
    maximum_backoff = "120s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.topics["dead_letters"].id
    max_delivery_attempts = local.shared.pubsub.max_delivery_attempts
  }
}

resource "google_pubsub_subscription" "pushes" {
  for_each = local.pushes

  project = local.project
  name    = each.key
  topic   = each.value.topic
  filter  = each.value.filter
  # More than DARKROOM_WEBHOOK_TIMEOUT_SECONDS plus the calls to Firestore before and after the try.
  ack_deadline_seconds       = 60
  message_retention_duration = local.retention
  deletion_policy            = local.deletion_policy

  push_config {
    push_endpoint = "${local.api_url}${each.value.path}"
    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = local.api_url
    }
  }
  expiration_policy {
    ttl = ""
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  depends_on = [google_service_account_iam_member.speaks_as_caller]
}

# For operators, in case the API has failed to store dead letters.
resource "google_pubsub_subscription" "dead_letters_archive" {
  project                    = local.project
  name                       = local.shared.subscriptions.dead_letters_archive
  topic                      = google_pubsub_topic.topics["dead_letters"].id
  ack_deadline_seconds       = 60
  message_retention_duration = local.retention
  deletion_policy            = local.deletion_policy

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub's service agent forwards dead letters, which requires these permissions.
resource "google_pubsub_topic_iam_member" "agent_forwards_dead_letters" {
  project = local.project
  topic   = google_pubsub_topic.topics["dead_letters"].name
  role    = "roles/pubsub.publisher"
  member  = google_project_service_identity.pubsub.member
}

resource "google_pubsub_subscription_iam_member" "agent_acknowledges_what_it_forwards" {
  for_each = google_pubsub_subscription.tasks

  project      = local.project
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = google_project_service_identity.pubsub.member

  # A replaced subscription loses its grants, and its unchanged name would not grant them again.
  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.tasks[each.key].id]
  }
}

resource "google_pubsub_topic_iam_member" "api_publishes" {
  for_each = toset(["tasks", "events"])

  project = local.project
  topic   = google_pubsub_topic.topics[each.value].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.api.member
}

resource "google_pubsub_topic_iam_member" "workers_publish" {
  for_each = toset(["events", "dead_letters"])

  project = local.project
  topic   = google_pubsub_topic.topics[each.value].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.worker.member
}

resource "google_pubsub_subscription_iam_member" "workers_pull" {
  for_each = google_pubsub_subscription.tasks

  project      = local.project
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.worker.member

  # A replaced subscription loses its grants, and its unchanged name would not grant them again.
  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.tasks[each.key].id]
  }
}
