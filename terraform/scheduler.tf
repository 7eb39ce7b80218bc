# Scheduled jobs: rescue, retries of webhooks, the history and the size of Cloud Run's workers each minute, the removal of
# expired tasks each hour.

locals {
  clockwork = {
    darkroom-rescue = {
      path        = "/internal/rescue"
      schedule    = "* * * * *"
      deadline    = "120s"
      description = "Recovers tasks that have no claim and no message"
    }
    darkroom-retry-webhooks = {
      path     = "/internal/retry-webhooks"
      schedule = "* * * * *"
      # More than a run's last turn, its last try and the calls to Firestore.
      deadline    = "120s"
      description = "Tries failed webhook deliveries again"
    }
    darkroom-remove-expired = {
      path        = "/internal/remove-expired"
      schedule    = "17 * * * *"
      deadline    = "600s"
      description = "Removes expired tasks with their objects"
    }
    darkroom-record-history = {
      path        = "/internal/record-history"
      schedule    = "* * * * *"
      deadline    = "50s"
      description = "Stores the figures of each minute for the operator page"
    }
    darkroom-scale-workers = {
      path        = "/internal/scale-workers"
      schedule    = "* * * * *"
      deadline    = "50s"
      description = "Sets the number of Cloud Run's workers by the demand for them"
    }
  }
}

resource "google_cloud_scheduler_job" "clockwork" {
  for_each = { for name, job in local.clockwork : name => job if name != "darkroom-scale-workers" || var.cloud_run_workers != null }

  project          = local.project
  region           = coalesce(var.scheduler_region, var.region)
  name             = each.key
  description      = each.value.description
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = each.value.deadline

  # The next run is the retry; a rescue that is still running answers 409 and is not affected.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = "${local.api_url}${each.value.path}"
    body        = base64encode("{}")
    headers     = { "Content-Type" = "application/json" }
    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = local.api_url
    }
  }

  depends_on = [google_service_account_iam_member.speaks_as_caller]
}
