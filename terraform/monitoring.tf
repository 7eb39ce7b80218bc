# Notification channels. The alerts are in alerts.tf, the dashboard in dashboards.tf.

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  project      = local.project
  display_name = "darkroom: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
}
