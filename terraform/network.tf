# One network: nodes without external addresses, the API's egress, and one NAT for both.

resource "google_compute_network" "darkroom" {
  project                 = local.project
  name                    = "darkroom"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "nodes" {
  #checkov:skip=CKV_GCP_76:the network is IPv4 only
  project                  = local.project
  name                     = "darkroom-nodes"
  region                   = var.region
  network                  = google_compute_network.darkroom.id
  ip_cidr_range            = var.network_ranges.nodes
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.network_ranges.pods
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = var.network_ranges.services
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_subnetwork" "api" {
  #checkov:skip=CKV_GCP_76:the network is IPv4 only
  project                  = local.project
  name                     = "darkroom-api"
  region                   = var.region
  network                  = google_compute_network.darkroom.id
  ip_cidr_range            = var.network_ranges.api
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Fixed, so that a webhook's receiver can allow only these.
resource "google_compute_address" "way_out" {
  count = var.outbound_addresses

  project = local.project
  name    = "darkroom-way-out-${count.index}"
  region  = var.region
}

resource "google_compute_router" "darkroom" {
  project = local.project
  name    = "darkroom"
  region  = var.region
  network = google_compute_network.darkroom.id
}

resource "google_compute_router_nat" "darkroom" {
  project                             = local.project
  name                                = "darkroom"
  region                              = var.region
  router                              = google_compute_router.darkroom.name
  nat_ip_allocate_option              = "MANUAL_ONLY"
  nat_ips                             = google_compute_address.way_out[*].self_link
  source_subnetwork_ip_ranges_to_nat  = "ALL_SUBNETWORKS_ALL_IP_RANGES"
  enable_dynamic_port_allocation      = true
  enable_endpoint_independent_mapping = false
  min_ports_per_vm                    = 64
  max_ports_per_vm                    = 4096

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Callers choose webhook addresses. The API refuses private ones; the firewall also blocks them, in case that check fails.
resource "google_compute_firewall" "api_stays_outside" {
  project            = local.project
  name               = "darkroom-api-stays-outside"
  network            = google_compute_network.darkroom.id
  direction          = "EGRESS"
  priority           = 1000
  target_tags        = [local.api_network_tag]
  destination_ranges = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
