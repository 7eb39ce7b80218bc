# The authoritative state of every task. The local stack uses the same rules; tests compare the indexes with every query.

locals {
  firestore = jsondecode(file("${path.module}/firestore.indexes.json"))

  composite_indexes = {
    for index in local.firestore.indexes :
    join(" ", concat([index.collectionGroup], [for field in index.fields : "${field.fieldPath}:${lower(try(field.order, field.arrayConfig))}"])) => index
  }
  field_overrides = {
    for override in local.firestore.fieldOverrides : "${override.collectionGroup}.${override.fieldPath}" => override
  }
}

resource "google_firestore_database" "darkroom" {
  project                           = local.project
  name                              = "(default)" # the database that Firestore's web client, and so the page, opens
  location_id                       = coalesce(var.firestore_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "OPTIMISTIC"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.deletion_protection ? "ABANDON" : "DELETE"

  dynamic "cmek_config" {
    for_each = [for name, key in local.usable_keys : key if name == "firestore"]
    content {
      kms_key_name = cmek_config.value
    }
  }
}

# Point-in-time recovery covers seven days; this covers a longer time, but loses up to a day of changes.
resource "google_firestore_backup_schedule" "daily" {
  project   = local.project
  database  = google_firestore_database.darkroom.name
  retention = "${14 * 24 * 3600}s"

  daily_recurrence {}
}

resource "google_firestore_index" "composite" {
  for_each = local.composite_indexes

  project     = local.project
  database    = google_firestore_database.darkroom.name
  collection  = each.value.collectionGroup
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path   = fields.value.fieldPath
      order        = try(fields.value.order, null)
      array_config = try(fields.value.arrayConfig, null)
    }
  }
}

resource "google_firestore_field" "overrides" {
  for_each = local.field_overrides

  project    = local.project
  database   = google_firestore_database.darkroom.name
  collection = each.value.collectionGroup
  field      = each.value.fieldPath

  index_config {
    dynamic "indexes" {
      for_each = each.value.indexes
      content {
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.arrayConfig, null)
        query_scope  = try(indexes.value.queryScope, "COLLECTION")
      }
    }
  }

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [true] : []
    content {}
  }
}

locals {
  rules_as_committed  = file("${path.module}/firestore.rules")
  access_as_committed = "{\"domains\": [], \"emails\": [], \"everyone\": true, \"user_ids\": []}"
  access = jsonencode({
    everyone = contains(var.allowed_users, "*")
    emails   = [for entry in var.allowed_users : lower(entry) if strcontains(entry, "@")]
    domains  = [for entry in var.allowed_users : lower(entry) if !strcontains(entry, "@") && entry != "*"]
    user_ids = var.operators
  })
}

resource "google_firebaserules_ruleset" "firestore" {
  project = local.project

  source {
    files {
      name    = "firestore.rules"
      content = replace(local.rules_as_committed, local.access_as_committed, local.access)
    }
  }

  depends_on = [google_firestore_database.darkroom]

  lifecycle {
    create_before_destroy = true # the old ruleset cannot be deleted while it is released

    precondition {
      condition     = length(split(local.access_as_committed, local.rules_as_committed)) == 2
      error_message = "firestore.rules: must contain access_as_committed once; otherwise it would allow every user."
    }
  }
}

# The provider deletes a release and creates the new one. In the seconds between, the database has no rules and refuses
# browsers: pages that are open then show that live updates failed, and continue after "Try again".
resource "google_firebaserules_release" "firestore" {
  project      = local.project
  name         = "cloud.firestore"
  ruleset_name = google_firebaserules_ruleset.firestore.name

  lifecycle {
    replace_triggered_by = [google_firebaserules_ruleset.firestore]
  }
}

resource "google_project_iam_member" "documents" {
  for_each = {
    api    = google_service_account.api.member
    worker = google_service_account.worker.member
  }

  project = local.project
  role    = google_project_iam_custom_role.documents.name
  member  = each.value

  condition {
    title       = "darkroom's database"
    description = "A second database in the project is none of darkroom's business"
    expression  = "resource.name == \"projects/${var.project_id}/databases/${google_firestore_database.darkroom.name}\""
  }
}
