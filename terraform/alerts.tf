# The alerts of common/alert_rules.yaml. The queries are PromQL over darkroom's metrics
# (docs/operating/observability.md) and Google's own.

resource "google_monitoring_alert_policy" "alerts" {
  for_each = { for name, rule in local.alert_rules : name => rule if(var.cluster.enabled || !try(rule.cluster_only, false)) && (var.cloud_run_workers != null || !try(rule.cloud_run_only, false)) }

  project               = local.project
  display_name          = "darkroom ${var.environment}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = values(google_monitoring_notification_channel.email)[*].id

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = "${each.value.duration_seconds}s"
      evaluation_interval = "60s"
      # A counter exists only after its first value, which most of these lack when they are created.
      disable_metric_validation = true
    }
  }

  documentation {
    subject   = "darkroom ${var.environment}: ${each.value.title}"
    mime_type = "text/markdown"
    content   = "${each.value.description}\n\nRunbook: docs/operating/runbook.md, **${each.value.runbook}**"
  }

  alert_strategy {
    auto_close           = "86400s"
    notification_prompts = ["OPENED", "CLOSED"]
  }
}

locals {
  # Google's own metrics of the tasks' subscriptions: available even when no darkroom process reports.
  undelivered = "pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\", subscription_id=~\"${local.topics.tasks}-.*\"}"
  oldest_age  = "pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\", subscription_id=~\"${local.topics.tasks}-.*\"}"

  errors   = "sum(rate(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\", service_name=\"${local.api_name}\", response_code_class=\"5xx\"}[%s]))"
  requests = "sum(rate(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\", service_name=\"${local.api_name}\"}[%s]))"
  budget   = 1 - var.alert_limits.availability

  alert_limits = { for name, value in local.shared.alert_limits : name => coalesce(var.alert_limits[name], value) }

  alert_rules = yamldecode(templatefile("${path.module}/../common/alert_rules.yaml", merge(
    local.alert_limits,
    {
      undelivered          = local.undelivered
      oldest_age           = local.oldest_age
      tolerated_failures   = local.shared.tolerated_failures
      failed_share_percent = 100 * local.alert_limits.failed_share
      wasted_share_percent = 100 * local.alert_limits.wasted_share
      objective_percent    = format("%.2f", 100 * var.alert_limits.availability)
      # Burn rates of the month's error budget, over a long window, and a short one that shows whether it still burns.
      # The factors use 2 % of it in an hour and 5 % in six.
      fast_burn = format("%.4f", 14.4 * local.budget)
      slow_burn = format("%.4f", 6 * local.budget)
    },
    { for window in ["5m", "30m", "1h", "6h"] : "errors_${window}" => format(local.errors, window) },
    { for window in ["5m", "30m", "1h", "6h"] : "requests_${window}" => format(local.requests, window) },
  )))
}
