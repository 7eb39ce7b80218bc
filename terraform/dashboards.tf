# The dashboard with every metric of docs/operating/observability.md.

locals {
  charts = yamldecode(templatefile("${path.module}/dashboard.yaml", {
    api_name    = local.api_name
    oldest_age  = local.oldest_age
    undelivered = local.undelivered
  }))
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
