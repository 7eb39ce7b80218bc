# A domain of one's own: the load balancer, and everything that follows the public address.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  override_during = plan
  mock_resource "google_compute_global_address" {
    defaults = { address = "203.0.113.7" }
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
  domain           = { name = "pictures.example.com" }
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "address_of_the_domain_replaces_run_app" {
  command = plan

  assert {
    condition     = output.api_url == "https://pictures.example.com"
    error_message = "callers and the page use the domain"
  }
  assert {
    condition     = google_cloud_run_v2_service.api.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "the load balancer and its limits cannot be bypassed"
  }
  assert {
    condition = (
      one(google_storage_bucket.images.cors).origin == tolist(["https://pictures.example.com"]) &&
      contains(google_identity_platform_config.sign_in.authorized_domains, "pictures.example.com") &&
      !strcontains(join(" ", google_identity_platform_config.sign_in.authorized_domains), "run.app")
    )
    error_message = "the bucket and the sign-in accept the page's origin, and no other"
  }
  assert {
    condition = alltrue([for setting in [
      "DARKROOM_PUBLIC_URL=https://pictures.example.com",
      "DARKROOM_TRUSTED_PROXIES=1",
      "DARKROOM_TRUSTED_PROXY_ADDRESSES=[\"203.0.113.7\",\"203.0.113.7\"]",
      "DARKROOM_INTERNAL_AUDIENCE=https://darkroom-api-123456789012.europe-west4.run.app",
    ] : contains([for env in google_cloud_run_v2_service.api.template[0].containers[0].env : "${env.name}=${env.value}" if length(env.value_source) == 0], setting)])
    error_message = "the API knows its public address and its load balancer, and internal callers keep their own address"
  }
}

run "internal_callers_keep_the_run_app_url" {
  command = plan

  assert {
    condition = alltrue([for url in concat(
      [for subscription in google_pubsub_subscription.pushes : subscription.push_config[0].push_endpoint],
      [for job in google_cloud_scheduler_job.clockwork : job.http_target[0].uri],
    ) : startswith(url, "https://darkroom-api-123456789012.europe-west4.run.app/internal/")])
    error_message = "requests of Pub/Sub and the scheduler are internal only at the run.app URL"
  }
}

run "run_app_url_can_stay_open" {
  command = plan

  variables {
    domain = { name = "pictures.example.com", keep_run_app_open = true }
  }

  assert {
    condition     = google_cloud_run_v2_service.api.ingress == "INGRESS_TRAFFIC_ALL"
    error_message = "callers may use the old address until the domain works"
  }
  assert {
    condition     = one(google_storage_bucket.images.cors).origin == tolist(["https://pictures.example.com", "https://darkroom-api-123456789012.europe-west4.run.app"])
    error_message = "the page works at both addresses"
  }
}

run "requests_are_limited_when_they_begin" {
  command = plan

  variables {
    domain = { name = "pictures.example.com", requests_per_minute = 600, allowed_countries = ["AT", "DE"] }
  }

  assert {
    condition = anytrue([for rule in google_compute_security_policy.domain["darkroom"].rule :
      rule.action == "throttle" && try(
        rule.rate_limit_options[0].rate_limit_threshold[0].count == 600 &&
        rule.rate_limit_options[0].exceed_action == "deny(429)" && rule.rate_limit_options[0].enforce_on_key == "IP"
      , false)
    ])
    error_message = "a throttle, not a ban: open streams of the same address continue"
  }
  assert {
    condition = anytrue([for rule in google_compute_security_policy.domain["darkroom"].rule :
      rule.action == "deny(403)" && try(rule.match[0].expr[0].expression, "") == "!'[AT,DE]'.contains(origin.region_code)"
    ])
    error_message = "other countries are refused"
  }
  assert {
    condition     = alltrue([for backend in google_compute_backend_service.api : one(backend.log_config).sample_rate == 1])
    error_message = "each request is logged"
  }
}

run "all_countries_are_allowed_by_default" {
  command = plan

  assert {
    condition     = length([for rule in google_compute_security_policy.domain["darkroom"].rule : rule if rule.description == "Other countries"]) == 0
    error_message = "an empty list allows all"
  }
}

run "plain_http_is_redirected" {
  command = plan

  assert {
    condition = (
      google_compute_url_map.redirect["darkroom"].default_url_redirect[0].https_redirect &&
      google_compute_url_map.redirect["darkroom"].default_url_redirect[0].redirect_response_code == "PERMANENT_REDIRECT" &&
      toset([for rule in google_compute_global_forwarding_rule.http : rule.port_range]) == toset(["80"]) &&
      toset([for rule in google_compute_global_forwarding_rule.https : rule.port_range]) == toset(["443"])
    )
    error_message = "http leads to https, with the same method"
  }
  assert {
    condition     = toset([for address in google_compute_global_address.domain : address.ip_version]) == toset(["IPV4", "IPV6"])
    error_message = "callers with IPv6 only reach the API, too"
  }
}

run "nothing_is_created_without_a_domain" {
  command = plan

  variables {
    domain = null
  }

  assert {
    condition = (
      google_cloud_run_v2_service.api.ingress == "INGRESS_TRAFFIC_ALL" && length(output.dns_records) == 0 &&
      length(google_compute_global_forwarding_rule.https) + length(google_compute_backend_service.api) + length(google_compute_security_policy.domain) == 0
    )
    error_message = "the domain is optional"
  }
}
