# Who is told of what, and what a month may cost.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "google-beta" {}
mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  # Of their own, so that the tests do not depend on the environment they run with.
  model_pools  = { demo = ["demo"] }
  project_id   = "example-project"
  environment  = "test"
  alert_emails = ["ops@example.com", "boss@example.com"]
  alert_limits = { oldest_seconds = 120, availability = 0.99 }
}

run "alerts_reach_people_and_say_what_to_do" {
  command = plan

  assert {
    condition     = length(google_monitoring_notification_channel.email) == 2
    error_message = "each address is a channel"
  }
  assert {
    condition = alltrue([for alert in google_monitoring_alert_policy.alerts :
      strcontains(alert.documentation[0].content, "docs/operating/runbook.md") && contains(["CRITICAL", "ERROR", "WARNING"], alert.severity)
    ])
    error_message = "every alert names its row of the runbook"
  }
  assert {
    condition = alltrue([for alert in google_monitoring_alert_policy.alerts :
      alert.conditions[0].condition_prometheus_query_language[0].disable_metric_validation
    ])
    error_message = "an alert can be made before anything has been counted"
  }
}

run "without_a_cluster_nobody_misses_the_autoscaler" {
  command = plan

  variables {
    cluster = { enabled = false }
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.alerts), "autoscaler_is_blind")
    error_message = "nothing asks how many workers are wanted where none are made"
  }
}

run "limits_reach_the_queries" {
  command = plan

  assert {
    condition     = strcontains(google_monitoring_alert_policy.alerts["oldest_waits"].conditions[0].condition_prometheus_query_language[0].query, "> 120")
    error_message = "the longest wait is a variable"
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.alerts["availability_burns_fast"].conditions[0].condition_prometheus_query_language[0].query, "> 0.1440")
    error_message = "a fast burn is 14.4 times the share that may fail"
  }
}

run "a_budget_is_made_when_somebody_pays" {
  command = plan

  variables {
    budget = { billing_account = "01ABCD-234567-89EFAB", amount = 250, currency = "EUR" }
  }

  assert {
    condition     = google_billing_budget.month[0].amount[0].specified_amount[0].units == "250" && google_billing_budget.month[0].amount[0].specified_amount[0].currency_code == "EUR"
    error_message = "the budget is the variable's"
  }
}

run "a_budget_needs_nobody_to_be_told_by_mail" {
  command = plan

  variables {
    alert_emails = []
    budget       = { billing_account = "01ABCD-234567-89EFAB", amount = 250 }
  }

  assert {
    condition     = length(google_billing_budget.month[0].all_updates_rule) == 0
    error_message = "an empty list of channels is refused: whoever pays is told without one"
  }
}

run "the_dashboard_names_no_zero" {
  command = plan

  assert {
    condition     = !strcontains(google_monitoring_dashboard.darkroom.dashboard_json, "Pos\":0,")
    error_message = "Cloud Monitoring answers without zeros, and each plan would put them back"
  }
}

run "without_a_payer_there_is_none" {
  command = plan

  assert {
    condition     = length(google_billing_budget.month) == 0
    error_message = "no billing account, no budget"
  }
}
