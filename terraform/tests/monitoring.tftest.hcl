# Alerts, notifications and the budget.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "google-beta" {}
mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  # The tests set all values, so that they do not depend on the environment.
  model_pools      = { demo = ["demo"] }
  project_id       = "example-project"
  environment      = "test"
  alert_emails     = ["ops@example.com", "boss@example.com"]
  alert_limits     = { oldest_seconds = 120, availability = 0.99 }
  domain           = null
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "alerts_notify_operators_and_name_the_runbook" {
  command = plan

  assert {
    condition     = length(google_monitoring_notification_channel.email) == 2
    error_message = "each address has a notification channel"
  }
  assert {
    condition = alltrue([for alert in google_monitoring_alert_policy.alerts :
      strcontains(alert.documentation[0].content, "docs/operating/runbook.md") && contains(["CRITICAL", "ERROR", "WARNING"], alert.severity)
    ])
    error_message = "every alert names its entry of the runbook"
  }
  assert {
    condition = alltrue([for alert in google_monitoring_alert_policy.alerts :
      alert.conditions[0].condition_prometheus_query_language[0].disable_metric_validation
    ])
    error_message = "an alert can be created before its metric has a value"
  }
}

run "autoscaler_alert_exists_only_with_a_cluster" {
  command = plan

  variables {
    cluster = { enabled = false }
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.alerts), "autoscaler_is_blind")
    error_message = "without a cluster no autoscaler requests the number of workers"
  }
}

run "limits_are_in_the_queries" {
  command = plan

  assert {
    condition     = strcontains(google_monitoring_alert_policy.alerts["oldest_waits"].conditions[0].condition_prometheus_query_language[0].query, "> 120")
    error_message = "the limit of the oldest wait comes from alert_limits"
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.alerts["availability_burns_fast"].conditions[0].condition_prometheus_query_language[0].query, "> 0.1440")
    error_message = "the fast burn rate is 14.4 times the allowed share of failures"
  }
}

run "budget_is_created_with_a_billing_account" {
  command = plan

  variables {
    budget = { billing_account = "01ABCD-234567-89EFAB", amount = 250, currency = "EUR" }
  }

  assert {
    condition     = google_billing_budget.month[0].amount[0].specified_amount[0].units == "250" && google_billing_budget.month[0].amount[0].specified_amount[0].currency_code == "EUR"
    error_message = "the budget has the variable's amount and currency"
  }
}

run "budget_needs_no_email_address" {
  command = plan

  variables {
    alert_emails = []
    budget       = { billing_account = "01ABCD-234567-89EFAB", amount = 250 }
  }

  assert {
    condition     = length(google_billing_budget.month[0].all_updates_rule) == 0
    error_message = "an empty list of channels is refused: billing administrators are notified without one"
  }
}

run "dashboard_contains_no_zero_positions" {
  command = plan

  assert {
    condition     = !strcontains(google_monitoring_dashboard.darkroom.dashboard_json, "Pos\":0,")
    error_message = "Cloud Monitoring omits zeros from its responses, so every plan would add them again"
  }
}

run "budget_is_not_created_without_a_billing_account" {
  command = plan

  assert {
    condition     = length(google_billing_budget.month) == 0
    error_message = "without a billing account no budget is created"
  }
}
