# What nobody may do, and what nobody can lose by mistake.

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
  model_pools = { demo = ["demo"] }
  project_id  = "example-project"
  environment = "test"
}

run "nothing_is_public_and_nothing_is_lost" {
  command = plan

  variables {
    deletion_protection = true
  }

  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.images, google_storage_bucket.weights, google_storage_bucket.builds] :
      bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access
    ])
    error_message = "buckets are private, and IAM alone says who reads them"
  }
  assert {
    condition = (
      google_firestore_database.darkroom.delete_protection_state == "DELETE_PROTECTION_ENABLED" &&
      google_firestore_database.darkroom.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED" &&
      google_container_cluster.darkroom["darkroom"].deletion_protection &&
      google_cloud_run_v2_service.api.deletion_protection
    )
    error_message = "what holds data or serves people refuses to be destroyed"
  }
  assert {
    condition = (
      alltrue([for secret in google_secret_manager_secret.secrets : secret.deletion_protection]) &&
      google_artifact_registry_repository.images.deletion_policy == "PREVENT" &&
      !google_storage_bucket.images.force_destroy && !google_storage_bucket.weights.force_destroy
    )
    error_message = "another region replaces the webhook key, the releases' images and the buckets"
  }
}

run "rights_are_small_and_lie_beside_their_things" {
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
    error_message = "no identity rules over the whole project"
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.api)) == toset(["autoscaling_token", "webhook_key"]) && length(google_secret_manager_secret_iam_member.keda) == 1
    error_message = "the API alone reads the webhook key"
  }
  assert {
    condition     = !contains(google_project_iam_custom_role.image_keeper.permissions, "storage.objects.create")
    error_message = "the API makes no images"
  }
}

run "the_cluster_cannot_be_knocked_at" {
  command = plan

  assert {
    condition = (
      google_container_cluster.darkroom["darkroom"].private_cluster_config[0].enable_private_nodes &&
      !google_container_cluster.darkroom["darkroom"].control_plane_endpoints_config[0].ip_endpoints_config[0].enabled
    )
    error_message = "nodes have no addresses of their own, and neither has the control plane"
  }
}

run "callers_without_google_identity_can_be_kept_out" {
  command = plan

  variables {
    api = { open_to_callers = false }
  }

  assert {
    condition     = !google_cloud_run_v2_service.api.invoker_iam_disabled && google_cloud_run_v2_service_iam_member.caller.role == "roles/run.invoker"
    error_message = "a closed API still lets Pub/Sub and the scheduler in"
  }
}
