output "api_url" {
  description = "Where the API answers; also DARKROOM_INTERNAL_AUDIENCE."
  value       = local.api_url
}

output "builder_service_account" {
  description = "Whom Cloud Build runs as: `gcloud builds submit --service-account`."
  value       = google_service_account.builder.name
}

output "build_sources" {
  description = "Where Cloud Build takes sources from: `gcloud builds submit --gcs-source-staging-dir`."
  value       = "gs://${google_storage_bucket.builds.name}/sources"
}

output "cluster_credentials_command" {
  description = "How kubectl learns of the cluster; null where there is none."
  value       = var.cluster.enabled ? "gcloud container clusters get-credentials darkroom --region=${var.region} --project=${var.project_id} --dns-endpoint" : null
}

output "firebase_web_config" {
  description = "The Firebase web app's configuration, as the page has it. Public by nature."
  value       = local.firebase_web_config
}

output "image_repository" {
  description = "Where images are pushed to: IMAGE_REPOSITORY/darkroom-api and IMAGE_REPOSITORY/darkroom-worker."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "images_bucket" {
  description = "Where images and checkpoints lie."
  value       = google_storage_bucket.images.name
}

output "internal_service_account" {
  description = "Whose OIDC tokens open /internal: DARKROOM_INTERNAL_SERVICE_ACCOUNT."
  value       = google_service_account.caller.email
}

output "model_pools" {
  description = "Models by pool, for scripts/drain_subscription."
  value       = var.model_pools
}

output "project_id" {
  description = "The project, for the commands that follow."
  value       = var.project_id
}

output "region" {
  description = "The region, for the commands that follow."
  value       = var.region
}

output "task_subscriptions" {
  description = "Each pool's subscription, draining pools included: DARKROOM_SUBSCRIPTION of its workers."
  value       = { for pool, subscription in google_pubsub_subscription.tasks : pool => subscription.name }
}

output "webhook_source_addresses" {
  description = "Where webhooks come from, for receivers that let only some in."
  value       = google_compute_address.way_out[*].address
}

output "weights_bucket" {
  description = "Where weights are put, and model_catalog.json beside them."
  value       = google_storage_bucket.weights.name
}

output "worker_parameters" {
  description = "gpu_subscriber/k8s/environment/parameters.env without the image, whose tag the build knows."
  value = join("\n", [for name, value in {
    API_HOST               = local.api_host
    WEIGHTS_BUCKET         = google_storage_bucket.weights.name
    WORKER_SERVICE_ACCOUNT = google_service_account.worker.email
  } : "${name}=${value}"])
}

output "worker_settings" {
  description = "gpu_subscriber/k8s/environment/settings.env."
  value       = join("\n", [for name, value in merge(local.worker_settings, local.prices) : "${name}=${value}"])
}
