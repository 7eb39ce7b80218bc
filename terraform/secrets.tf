# Two secrets, generated here once and stored only in Secret Manager: an ephemeral value and a write-only argument appear
# in neither plan nor state.

locals {
  secrets = {
    # The key from which callers' webhook secrets and the seals of API keys are derived. Only the API may read it: workers can
    # write Firestore's records, but not seal them.
    webhook_key = { id = "darkroom-webhook-key", variable = "DARKROOM_WEBHOOK_KEY" }
    # Authenticates KEDA at /internal/autoscaling.
    autoscaling_token = { id = "darkroom-autoscaling-token", variable = "DARKROOM_AUTOSCALING_TOKEN" }
  }
}

ephemeral "random_password" "secrets" {
  for_each = local.secrets

  length  = 64
  special = false
}

resource "google_secret_manager_secret" "secrets" {
  for_each = local.secrets

  project   = local.project
  secret_id = each.value.id
  # Callers' webhook secrets cannot be derived from another key.
  deletion_protection = var.deletion_protection

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_version" "secrets" {
  for_each = local.secrets

  secret                 = google_secret_manager_secret.secrets[each.key].id
  secret_data_wo         = ephemeral.random_password.secrets[each.key].result
  secret_data_wo_version = var.secret_versions[each.key]
  # A replaced version stays enabled: older revisions refer to it and cannot start instances without it. docs/operating/deploy.md
  # describes when to disable it.
  deletion_policy = "ABANDON"
}

resource "google_secret_manager_secret_iam_member" "api" {
  for_each = local.secrets

  project   = local.project
  secret_id = google_secret_manager_secret.secrets[each.key].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.api.member
}

resource "google_secret_manager_secret_iam_member" "keda" {
  count = var.cluster.enabled ? 1 : 0

  project   = local.project
  secret_id = google_secret_manager_secret.secrets["autoscaling_token"].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.keda_accounts[0]
}
