# User sign-in: the Firebase web app of the page. Its configuration is public by design.

resource "google_firebase_project" "darkroom" {
  provider = google-beta

  project = local.project
}

resource "google_firebase_web_app" "page" {
  provider = google-beta

  project      = google_firebase_project.darkroom.project
  display_name = "darkroom"
}

data "google_firebase_web_app_config" "page" {
  provider = google-beta

  project    = google_firebase_web_app.page.project
  web_app_id = google_firebase_web_app.page.app_id
}

# Identity Platform cannot be disabled, and enabling it a second time fails. So a project that has it is imported.
import {
  for_each = toset(var.identity_platform_enabled ? ["projects/${var.project_id}"] : [])
  to       = google_identity_platform_config.sign_in
  id       = each.value
}

# Google as a sign-in provider needs an OAuth client, which is created manually: see docs/operating/deploy.md.
resource "google_identity_platform_config" "sign_in" {
  project                    = local.project
  autodelete_anonymous_users = true
  authorized_domains = concat(
    ["${var.project_id}.firebaseapp.com", "${var.project_id}.web.app"],
    local.page_hosts,
    [for origin in var.browser_origins : regex("^https?://([^:/]+)", origin)[0]],
  )

  sign_in {
    allow_duplicate_emails = false
  }

  depends_on = [google_firebase_project.darkroom]
}

locals {
  firebase_web_config = {
    apiKey     = data.google_firebase_web_app_config.page.api_key
    appId      = google_firebase_web_app.page.app_id
    authDomain = "${var.project_id}.firebaseapp.com"
    projectId  = var.project_id
  }
}
