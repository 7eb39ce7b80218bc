# A host name of one's own: a global HTTPS load balancer in front of the API (docs/adr/0049-a-load-balancer-for-a-domain.md).

locals {
  public_host = var.domain == null ? local.api_host : var.domain.name
  public_url  = "https://${local.public_host}"
  # Hosts at which browsers reach the page. Pub/Sub, the scheduler and KEDA always call the run.app host.
  page_hosts = distinct(concat([local.public_host], local.run_app_is_open ? [local.api_host] : []))

  run_app_is_open = try(var.domain.keep_run_app_open, true)
  load_balancers  = toset(var.domain == null ? [] : ["darkroom"])
  # With a header the load balancer calls the revision that a release tests before its traffic (scripts/smoke_test). Every
  # caller may send the header, so the release removes the tag after the test, and Cloud Run then refuses such requests.
  backends = { for name, tag in { api = null, canary = "canary" } : name => tag if var.domain != null }
}

resource "google_compute_global_address" "domain" {
  for_each = var.domain == null ? {} : { A = "IPV4", AAAA = "IPV6" }

  project    = local.project
  name       = "darkroom-${lower(each.value)}"
  ip_version = each.value
}

# DNS proves the ownership, so the certificate can be issued before the name refers to the load balancer. The names contain
# the domain's hash: a certificate of another domain is created before the old one is deleted.
resource "google_certificate_manager_dns_authorization" "domain" {
  for_each = local.load_balancers

  project = local.project
  name    = "${each.key}-${substr(sha256(var.domain.name), 0, 8)}"
  domain  = var.domain.name

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate" "domain" {
  for_each = local.load_balancers

  project = local.project
  name    = "${each.key}-${substr(sha256(var.domain.name), 0, 8)}"

  managed {
    domains            = [google_certificate_manager_dns_authorization.domain[each.key].domain]
    dns_authorizations = [google_certificate_manager_dns_authorization.domain[each.key].id]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate_map" "domain" {
  for_each = local.load_balancers

  project = local.project
  name    = each.key
}

resource "google_certificate_manager_certificate_map_entry" "domain" {
  for_each = local.load_balancers

  project      = local.project
  name         = each.key
  map          = google_certificate_manager_certificate_map.domain[each.key].name
  matcher      = "PRIMARY"
  certificates = [google_certificate_manager_certificate.domain[each.key].id]
}

resource "google_compute_security_policy" "domain" {
  for_each = local.load_balancers

  project     = local.project
  name        = each.key
  description = "Refuses requests to darkroom's API before they reach it"
  type        = "CLOUD_ARMOR"

  rule {
    priority    = 1000
    action      = "deny(403)"
    description = "Attacks on Log4j 2"
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }
  dynamic "rule" {
    for_each = length(var.domain.allowed_countries) == 0 ? [] : [join(",", var.domain.allowed_countries)]
    content {
      priority    = 2000
      action      = "deny(403)"
      description = "Other countries"
      match {
        expr {
          expression = "!'[${rule.value}]'.contains(origin.region_code)"
        }
      }
    }
  }
  # Counts requests when they begin: an event stream or a long poll is one, however long it takes.
  rule {
    priority    = 3000
    action      = "throttle"
    description = "Requests of one address"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = var.domain.requests_per_minute
        interval_sec = 60
      }
    }
  }
  rule {
    priority    = 2147483647
    action      = "allow"
    description = "Each policy needs a last rule; the one above matches every request"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_compute_region_network_endpoint_group" "api" {
  for_each = local.backends

  project               = local.project
  name                  = "darkroom-${each.key}"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.api.name
    tag     = each.value
  }
}

# Without timeout_sec, which is refused for Cloud Run: the service's own timeout limits requests and streams.
resource "google_compute_backend_service" "api" {
  for_each = google_compute_region_network_endpoint_group.api

  project               = local.project
  name                  = each.value.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.domain["darkroom"].id

  backend {
    group = each.value.id
  }
  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_url_map" "api" {
  for_each = local.load_balancers

  project         = local.project
  name            = each.key
  default_service = google_compute_backend_service.api["api"].id

  host_rule {
    hosts        = ["*"]
    path_matcher = "revisions"
  }
  path_matcher {
    name            = "revisions"
    default_service = google_compute_backend_service.api["api"].id

    route_rules {
      priority = 1
      service  = google_compute_backend_service.api["canary"].id
      match_rules {
        prefix_match = "/"
        header_matches {
          header_name = "X-Darkroom-Revision"
          exact_match = "canary"
        }
      }
    }
  }
}

resource "google_compute_ssl_policy" "domain" {
  for_each = local.load_balancers

  project         = local.project
  name            = each.key
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "api" {
  for_each = local.load_balancers

  project         = local.project
  name            = each.key
  url_map         = google_compute_url_map.api[each.key].id
  certificate_map = "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.domain[each.key].id}"
  ssl_policy      = google_compute_ssl_policy.domain[each.key].id

  # The proxy would have no certificate before.
  depends_on = [google_certificate_manager_certificate_map_entry.domain]
}

resource "google_compute_global_forwarding_rule" "https" {
  for_each = google_compute_global_address.domain

  project               = local.project
  name                  = "${each.value.name}-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = each.value.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.api["darkroom"].id
}

resource "google_compute_url_map" "redirect" {
  for_each = local.load_balancers

  project = local.project
  name    = "${each.key}-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "PERMANENT_REDIRECT" # keeps the method
    strip_query            = false
  }
}

resource "google_compute_target_http_proxy" "redirect" {
  for_each = local.load_balancers

  project = local.project
  name    = "${each.key}-redirect"
  url_map = google_compute_url_map.redirect[each.key].id
}

resource "google_compute_global_forwarding_rule" "http" {
  for_each = google_compute_global_address.domain

  project               = local.project
  name                  = "${each.value.name}-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = each.value.id
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect["darkroom"].id
}
