output "api_url" {
  description = "URL of the API and of the page: the domain's, if there is one."
  value       = local.public_url
}

output "builder_service_account" {
  description = "Service account of Cloud Build: `gcloud builds submit --service-account`."
  value       = google_service_account.builder.name
}

output "build_region" {
  description = "Region of the builds: `gcloud builds submit --region`."
  value       = local.build_region
}

output "build_sources" {
  description = "Bucket for Cloud Build's sources: `gcloud builds submit --gcs-source-staging-dir`."
  value       = "gs://${google_storage_bucket.builds.name}/sources"
}

output "cluster_credentials_command" {
  description = "Command that configures kubectl for the cluster; null without a cluster."
  value       = var.cluster.enabled ? "gcloud container clusters get-credentials ${local.cluster_name} --location=${local.cluster_location} --project=${var.project_id} --dns-endpoint" : null
}

output "dns_records" {
  description = "DNS records that the domain needs: its certificate's, and those of the load balancer's addresses. Empty without a domain."
  value = concat(
    [for authorization in google_certificate_manager_dns_authorization.domain : join(" ", [
      authorization.dns_resource_record[0].name, authorization.dns_resource_record[0].type, authorization.dns_resource_record[0].data,
    ])],
    [for type, address in google_compute_global_address.domain : "${var.domain.name}. ${type} ${address.address}"],
  )
}

output "firebase_web_config" {
  description = "The page's Firebase configuration. Public by design."
  value       = local.firebase_web_config
}

output "image_repository" {
  description = "Repository for images: IMAGE_REPOSITORY/darkroom-api and IMAGE_REPOSITORY/darkroom-worker."
  value       = local.image_repository
}

output "images_bucket" {
  description = "Bucket of the images and checkpoints."
  value       = google_storage_bucket.images.name
}

output "internal_audience" {
  description = "Audience of OIDC tokens for /internal, and of operators' service accounts: DARKROOM_INTERNAL_AUDIENCE."
  value       = local.api_url
}

output "internal_service_account" {
  description = "Service account whose OIDC tokens are accepted at /internal: DARKROOM_INTERNAL_SERVICE_ACCOUNT."
  value       = google_service_account.caller.email
}

output "model_pools" {
  description = "Models by pool, for scripts/drain_subscription."
  value       = var.model_pools
}

output "project_id" {
  description = "The project, for further commands."
  value       = var.project_id
}

output "region" {
  description = "The region, for further commands."
  value       = var.region
}

output "task_subscriptions" {
  description = "Subscription of each pool, including draining pools: DARKROOM_SUBSCRIPTION of its workers."
  value       = { for pool, subscription in google_pubsub_subscription.tasks : pool => subscription.name }
}

output "webhook_source_addresses" {
  description = "Source addresses of webhooks, for receivers with an allowlist. Empty in an existing network, whose NAT has them."
  value       = google_compute_address.way_out[*].address
}

output "weights_bucket" {
  description = "Bucket of the weights and of model_catalog.json."
  value       = google_storage_bucket.weights.name
}

output "worker_parameters" {
  description = "gpu_subscriber/k8s/environment/parameters.env without the image, whose tag the build sets."
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
