# One network: nodes without external addresses, the API's egress, and one NAT for both. Or an existing one, which then
# needs its own NAT (existing_network).

locals {
  network_count = var.existing_network == null ? 1 : 0
  # The host project of a Shared VPC, or this one.
  network_project = try(coalesce(var.existing_network.project, var.project_id), var.project_id)
  network_name    = try(var.existing_network.network, "darkroom")
  subnetworks     = "projects/${local.network_project}/regions/${var.region}/subnetworks"

  network = var.existing_network == null ? {
    id       = google_compute_network.darkroom[0].id
    nodes    = google_compute_subnetwork.nodes[0].id
    api      = google_compute_subnetwork.api[0].id
    pods     = "pods"
    services = "services"
    } : {
    id       = "projects/${local.network_project}/global/networks/${local.network_name}"
    nodes    = var.existing_network.nodes_subnet == null ? null : "${local.subnetworks}/${var.existing_network.nodes_subnet}"
    api      = "${local.subnetworks}/${var.existing_network.api_subnet}"
    pods     = var.existing_network.pods_range
    services = var.existing_network.services_range
  }
}

resource "google_compute_network" "darkroom" {
  count = local.network_count

  project                 = local.project
  name                    = "darkroom"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "nodes" {
  #checkov:skip=CKV_GCP_76:the network is IPv4 only
  count = local.network_count

  project                  = local.project
  name                     = "darkroom-nodes"
  region                   = var.region
  network                  = google_compute_network.darkroom[0].id
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
  count = local.network_count

  project                  = local.project
  name                     = "darkroom-api"
  region                   = var.region
  network                  = google_compute_network.darkroom[0].id
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
  count = local.network_count * var.outbound_addresses

  project = local.project
  name    = "darkroom-way-out-${count.index}"
  region  = var.region
}

resource "google_compute_router" "darkroom" {
  count = local.network_count

  project = local.project
  name    = "darkroom"
  region  = var.region
  network = google_compute_network.darkroom[0].id
}

resource "google_compute_router_nat" "darkroom" {
  count = local.network_count

  project                             = local.project
  name                                = "darkroom"
  region                              = var.region
  router                              = google_compute_router.darkroom[0].name
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
# The administrator of a Shared VPC creates this rule in the host project: docs/operating/deploy.md.
resource "google_compute_firewall" "api_stays_outside" {
  count = local.network_project == var.project_id ? 1 : 0

  project            = local.project
  name               = "darkroom-api-stays-outside"
  network            = try(google_compute_network.darkroom[0].id, local.network.id) # checkov follows only this reference
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

# An existing network is only read. Its owner may correct it later, so these are warnings.
data "google_compute_subnetwork" "existing" {
  for_each = { for name, subnet in {
    nodes = try(var.existing_network.nodes_subnet, null)
    api   = try(var.existing_network.api_subnet, null)
  } : name => subnet if subnet != null }

  project = local.network_project
  region  = var.region
  name    = each.value
}

check "existing_network_fits" {
  assert {
    condition     = alltrue([for subnet in data.google_compute_subnetwork.existing : subnet.private_ip_google_access])
    error_message = "existing_network: ${join(", ", [for subnet in data.google_compute_subnetwork.existing : subnet.name if !subnet.private_ip_google_access])} must have Private Google Access: without it, KEDA's requests to the API are not internal, and nodes do not reach Google's APIs."
  }
  assert {
    condition     = alltrue([for subnet in data.google_compute_subnetwork.existing : endswith(subnet.network, "/networks/${local.network_name}")])
    error_message = "existing_network: ${join(", ", [for subnet in data.google_compute_subnetwork.existing : subnet.name if !endswith(subnet.network, "/networks/${local.network_name}")])} must be in the network ${local.network_name}."
  }
  assert {
    condition     = try(tonumber(split("/", data.google_compute_subnetwork.existing["api"].ip_cidr_range)[1]) <= 26, true)
    error_message = "existing_network: api_subnet must be a /26 or larger: each Cloud Run instance uses one address, and two while it is replaced."
  }
  assert {
    condition = alltrue([for name, subnet in data.google_compute_subnetwork.existing : name == "nodes" ? length(setsubtract(
      [local.network.pods, local.network.services], subnet.secondary_ip_range[*].range_name,
    )) == 0 : true])
    error_message = "existing_network: nodes_subnet must have the secondary ranges ${local.network.pods} (pods_range) and ${local.network.services} (services_range)."
  }
}
