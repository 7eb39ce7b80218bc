# Sends notifications when a month's cost reaches the budget. It stops nothing: max_nodes and max_instances do.

resource "google_billing_budget" "month" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "darkroom ${var.environment}"

  budget_filter {
    projects        = ["projects/${local.project_number}"]
    calendar_period = "MONTH"
  }
  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = [
      { share = 0.5, basis = "CURRENT_SPEND" },
      { share = 0.9, basis = "CURRENT_SPEND" },
      { share = 1.0, basis = "FORECASTED_SPEND" },
      { share = 1.0, basis = "CURRENT_SPEND" },
    ]
    content {
      threshold_percent = threshold_rules.value.share
      spend_basis       = threshold_rules.value.basis
    }
  }

  # In addition to the billing account's administrators, who are always notified. A budget takes five channels.
  dynamic "all_updates_rule" {
    for_each = length(var.alert_emails) > 0 ? [values(google_monitoring_notification_channel.email)[*].id] : []
    content {
      monitoring_notification_channels = slice(all_updates_rule.value, 0, min(5, length(all_updates_rule.value)))
      disable_default_iam_recipients   = false
    }
  }

  depends_on = [google_project_service.enabled]
}
