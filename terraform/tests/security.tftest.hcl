# Permissions, public access, and protection against accidental deletion.

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
  domain           = null
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "buckets_are_private_and_data_is_protected" {
  command = plan

  variables {
    deletion_protection = true
  }

  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.images, google_storage_bucket.weights, google_storage_bucket.builds] :
      bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access
    ])
    error_message = "buckets are private, and only IAM controls access to them"
  }
  assert {
    condition = (
      google_firestore_database.darkroom.delete_protection_state == "DELETE_PROTECTION_ENABLED" &&
      google_firestore_database.darkroom.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED" &&
      google_container_cluster.darkroom["darkroom"].deletion_protection &&
      google_cloud_run_v2_service.api.deletion_protection
    )
    error_message = "resources that hold data or serve users cannot be destroyed"
  }
  assert {
    condition = (
      alltrue([for secret in google_secret_manager_secret.secrets : secret.deletion_protection]) &&
      google_artifact_registry_repository.images.deletion_policy == "PREVENT" &&
      !google_storage_bucket.images.force_destroy && !google_storage_bucket.weights.force_destroy
    )
    error_message = "changing the region would replace the webhook key, the releases' images and the buckets"
  }
}

run "roles_are_granted_per_resource" {
  command = plan

  assert {
    condition = length(setintersection(
      ["roles/owner", "roles/editor", "roles/viewer", "roles/datastore.owner", "roles/storage.admin", "roles/pubsub.admin"],
      concat(
        [for member in google_project_iam_member.telemetry : member.role],
        [for member in google_project_iam_member.builder : member.role],
        [google_project_iam_member.nodes.role],
      ),
    )) == 0
    error_message = "no identity has a broad role on the whole project"
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.api)) == toset(["autoscaling_token", "webhook_key"]) && length(google_secret_manager_secret_iam_member.keda) == 1
    error_message = "only the API reads the webhook key"
  }
  assert {
    condition     = !contains(google_project_iam_custom_role.image_keeper.permissions, "storage.objects.create")
    error_message = "the API cannot create images"
  }
  assert {
    condition = (
      toset(google_project_iam_custom_role.input_writer.permissions) == toset(["storage.objects.create", "storage.objects.update"]) &&
      endswith(one(google_storage_bucket_iam_member.api_writes_inputs.condition).expression, "/objects/uploads/\")")
    )
    error_message = "the API creates and changes objects below inputs/ and uploads/ only"
  }
}

run "cluster_has_no_public_address" {
  command = plan

  assert {
    condition = (
      google_container_cluster.darkroom["darkroom"].private_cluster_config[0].enable_private_nodes &&
      !google_container_cluster.darkroom["darkroom"].control_plane_endpoints_config[0].ip_endpoints_config[0].enabled
    )
    error_message = "neither nodes nor the control plane have public addresses"
  }
}

run "no_user_is_allowed_by_default" {
  command = plan

  assert {
    condition     = strcontains(google_firebaserules_ruleset.firestore.source[0].files[0].content, "return {\"domains\":[],\"emails\":[],\"everyone\":false,\"user_ids\":[]};")
    error_message = "the rules must not allow every user, as the local stack's do"
  }
}

run "allowed_users_are_in_the_rules_and_in_the_api" {
  command = plan

  variables {
    allowed_users = ["Ada@example.com", "example.org"]
    operators     = ["uid-of-olga"]
  }

  assert {
    condition     = strcontains(google_firebaserules_ruleset.firestore.source[0].files[0].content, "return {\"domains\":[\"example.org\"],\"emails\":[\"ada@example.com\"],\"everyone\":false,\"user_ids\":[\"uid-of-olga\"]};")
    error_message = "the rules contain the lists in lower case, as they compare"
  }
  assert {
    condition     = contains([for env in google_cloud_run_v2_service.api.template[0].containers[0].env : "${env.name}=${env.value}" if length(env.value_source) == 0], "DARKROOM_ALLOWED_USERS=[\"Ada@example.com\",\"example.org\"]")
    error_message = "the API gets the same list"
  }
}
