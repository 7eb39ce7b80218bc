# Dashboard with every metric of docs/operating/observability.md: queue, tasks, workers, services.

locals {
  # A chart: title, unit, and lines by legend. Every API instance reports the whole queue, so use the gauges' maximum.
  charts = concat(local.queue_charts, local.task_charts, local.worker_charts, local.service_charts)

  queue_charts = [
    { title = "Tasks that wait", unit = "1", lines = {
      "{{model}}"                      = "max by (model) ({\"darkroom.queue.depth\"})"
      "Pub/Sub of {{subscription_id}}" = "max by (subscription_id) (${local.undelivered})"
    } },
    { title = "The longest wait", unit = "s", lines = {
      "{{model}}"                      = "max by (model) ({\"darkroom.queue.oldest_age\"})"
      "Pub/Sub of {{subscription_id}}" = "max by (subscription_id) (${local.oldest_age})"
    } },
    { title = "Tasks in workers' hands", unit = "1", lines = {
      "{{model}}"         = "max by (model) ({\"darkroom.queue.in_flight\"})"
      "as workers say it" = "sum({\"darkroom.worker.tasks\"})"
    } },
    { title = "From acceptance to the first claim", unit = "s", lines = {
      for share in ["0.5", "0.95"] : "{{lane}}, ${share}" => "histogram_quantile(${share}, sum by (le, lane) (rate({\"darkroom.queue.duration_bucket\"}[5m])))"
    } },
    { title = "Dead letters", unit = "1", lines = {
      "kept"                  = "max({\"darkroom.dead_letters.kept\"})"
      "archived, per hour"    = "sum(increase({\"darkroom.dead_letters.archived\"}[1h]))"
      "forwarded by Pub/Sub " = "sum(increase(pubsub_googleapis_com:subscription_dead_letter_message_count{monitored_resource=\"pubsub_subscription\"}[1h]))"
    } },
    { title = "Messages, per second", unit = "1/s", lines = {
      "sent to {{messaging.destination.name}} {{error.type}}" = "sum by (\"messaging.destination.name\", \"error.type\") (rate({\"messaging.client.sent.messages\"}[5m]))"
      "delivered"                                             = "sum(rate({\"messaging.client.consumed.messages\"}[5m]))"
    } },
  ]

  task_charts = [
    { title = "Tasks, per minute", unit = "1/min", lines = {
      "submitted"              = "60 * sum(rate({\"darkroom.tasks.submitted\"}[5m]))"
      "{{status}}"             = "60 * sum by (status) (rate({\"darkroom.tasks.finished\"}[5m]))"
      "removed as expired"     = "60 * sum(rate({\"darkroom.tasks.expired\"}[5m]))"
      "rescued as {{verdict}}" = "60 * sum by (verdict) (rate({\"darkroom.tasks.rescued\"}[5m]))"
    } },
    { title = "Failures by code, per hour", unit = "1/h", lines = {
      "task: {{error.type}}"    = "sum by (\"error.type\") (increase({\"darkroom.tasks.finished\", status=\"failed\"}[1h]))"
      "attempt: {{error.type}}" = "sum by (\"error.type\") (increase({\"darkroom.attempts.finished\", \"error.type\"!=\"\"}[1h]))"
    } },
    { title = "From acceptance to completion", unit = "s", lines = {
      for share in ["0.5", "0.95"] : "{{model}}, ${share}" => "histogram_quantile(${share}, sum by (le, model) (rate({\"darkroom.task.duration_bucket\"}[5m])))"
    } },
    { title = "An attempt, a delivery", unit = "s", lines = {
      "attempt of {{model}}, 0.95" = "histogram_quantile(0.95, sum by (le, model) (rate({\"darkroom.attempt.duration_bucket\"}[5m])))"
      "delivery, 0.95"             = "histogram_quantile(0.95, sum by (le) (rate({\"messaging.process.duration_bucket\"}[5m])))"
    } },
    { title = "Claims and leases lost, per hour", unit = "1/h", lines = {
      "claims, {{reason}}"         = "sum by (reason) (increase({\"darkroom.claims.lost\"}[1h]))"
      "leases, held by {{holder}}" = "sum by (holder) (increase({\"darkroom.leases.lost\"}[1h]))"
      "checkpoints refused"        = "sum(increase({\"darkroom.checkpoints.refused\"}[1h]))"
    } },
    { title = "Seconds of GPUs, and what they cost", unit = "1", lines = {
      "{{use}} seconds a second" = "sum by (use) (rate({\"darkroom.gpu.time\"}[5m]))"
      "{{currency}} an hour"     = "3600 * sum by (currency) (rate({\"darkroom.cost\"}[5m]))"
    } },
  ]

  worker_charts = [
    { title = "Workers that take deliveries", unit = "1", lines = {
      "{{messaging.destination.subscription.name}}" = "sum by (${local.pulled_by}) ({\"darkroom.worker.ready\"})"
    } },
    { title = "Engines: busy share", unit = "1", lines = {
      "{{instance}}" = "rate({\"darkroom.engine.busy\"}[5m])"
    } },
    { title = "A step", unit = "s", lines = {
      for share in ["0.5", "0.95"] : "{{model}}, ${share}" => "histogram_quantile(${share}, sum by (le, model) (rate({\"darkroom.step.duration_bucket\"}[5m])))"
    } },
    { title = "Images that share a step", unit = "1", lines = {
      "{{model}}, mean" = "sum by (model) (rate({\"darkroom.batch.size_sum\"}[5m])) / sum by (model) (rate({\"darkroom.batch.size_count\"}[5m]))"
    } },
    { title = "GPU: computing, memory", unit = "1", lines = {
      "computing" = "avg({\"hw.gpu.utilization\"})"
      "memory"    = "avg({\"hw.gpu.memory.usage\"} / {\"hw.gpu.memory.limit\"})"
    } },
    { title = "Engines that ended, per hour", unit = "1/h", lines = {
      "{{cause}}" = "sum by (cause) (increase({\"darkroom.engines.ended\"}[1h]))"
    } },
  ]

  service_charts = [
    { title = "Requests by status, per second", unit = "1/s", lines = {
      "{{http.response.status_code}}" = "sum by (\"http.response.status_code\") (rate({\"http.server.request.duration_count\"}[5m]))"
    } },
    { title = "A request", unit = "s", lines = {
      "{{http.route}}, 0.95" = "histogram_quantile(0.95, sum by (le, \"http.route\") (rate({\"http.server.request.duration_bucket\"}[5m])))"
    } },
    { title = "Publishing", unit = "s", lines = {
      "to {{messaging.destination.name}}, 0.95" = "histogram_quantile(0.95, sum by (le, \"messaging.destination.name\") (rate({\"messaging.client.operation.duration_bucket\"}[5m])))"
    } },
    { title = "Webhooks, per minute", unit = "1/min", lines = {
      "{{outcome}}" = "60 * sum by (outcome) (rate({\"darkroom.webhooks.tries\"}[5m]))"
    } },
    { title = "A webhook's try", unit = "s", lines = {
      "{{outcome}}, 0.95" = "histogram_quantile(0.95, sum by (le, outcome) (rate({\"darkroom.webhook.duration_bucket\"}[5m])))"
    } },
    { title = "Callers who wait for changes", unit = "1", lines = {
      "of all instances" = "sum({\"darkroom.followers\"})"
    } },
    { title = "Instances of the API", unit = "1", lines = {
      "{{state}}" = "sum by (state) (run_googleapis_com:container_instance_count{monitored_resource=\"cloud_run_revision\", service_name=\"${local.api_name}\"})"
    } },
  ]
}

resource "google_monitoring_dashboard" "darkroom" {
  project = local.project

  dashboard_json = jsonencode({
    displayName = "darkroom ${var.environment}"
    mosaicLayout = {
      columns = 48
      tiles = [
        # Cloud Monitoring omits zeros from its responses, so a plan would never be empty.
        for place, chart in local.charts : merge({
          for side, units in { xPos = 16 * (place % 3), yPos = 16 * floor(place / 3) } : side => units if units > 0
          }, {
          width  = 16
          height = 16
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [
                for legend, query in chart.lines : {
                  plotType       = "LINE"
                  targetAxis     = "Y1"
                  legendTemplate = legend
                  timeSeriesQuery = {
                    prometheusQuery = query
                    unitOverride    = chart.unit
                  }
                }
              ]
              yAxis = { scale = "LINEAR" }
            }
          }
        })
      ]
    }
  })
}
