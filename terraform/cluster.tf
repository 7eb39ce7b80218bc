# The workers' cluster: private, regional, and without a public address. Or an existing one (existing_cluster).

locals {
  clusters      = toset(var.cluster.enabled && var.existing_cluster == null ? ["darkroom"] : [])
  cluster       = one(concat(values(google_container_cluster.darkroom), values(data.google_container_cluster.existing)))
  control_plane = try("https://${local.cluster.control_plane_endpoints_config[0].dns_endpoint_config[0].endpoint}", null)
  # Known before the cluster exists.
  cluster_name     = try(coalesce(var.existing_cluster.name), "darkroom")
  cluster_location = try(coalesce(var.existing_cluster.location), var.region)
}

resource "google_container_cluster" "darkroom" {
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces network policies itself; the addon of that name is for clusters without
  #checkov:skip=CKV_GCP_20:there is no IP endpoint to restrict, see control_plane_endpoints_config
  #checkov:skip=CKV_GCP_65:roles are bound to service accounts; groups belong to an organization that may not exist
  for_each = local.clusters

  project             = local.project
  name                = each.value
  location            = var.region
  node_locations      = length(var.cluster.zones) > 0 ? var.cluster.zones : null
  resource_labels     = local.labels
  deletion_protection = var.deletion_protection

  network           = local.network.id
  subnetwork        = local.network.nodes
  networking_mode   = "VPC_NATIVE"
  datapath_provider = "ADVANCED_DATAPATH"

  ip_allocation_policy {
    cluster_secondary_range_name  = local.network.pods
    services_secondary_range_name = local.network.services
  }
  private_cluster_config {
    enable_private_nodes = true
  }
  # The control plane is reachable from anywhere by its DNS name, where IAM authorizes callers; it has no IP endpoint.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  # The node pools are separate resources below; GKE's mandatory default pool is removed at once. Without this
  # configuration its nodes would use the project's default account and 100 GB of SSD quota each.
  remove_default_node_pool = true
  initial_node_count       = 1
  node_config {
    disk_size_gb    = 30
    disk_type       = "pd-standard"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"] # IAM limits what the account may do

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  release_channel {
    channel = var.cluster.release_channel
  }
  # Weekends, when there are the fewest tasks.
  maintenance_policy {
    recurring_window {
      start_time = "2026-01-04T02:00:00Z"
      end_time   = "2026-01-04T08:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SU,SA"
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }
  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }
  enable_shielded_nodes       = true
  enable_intranode_visibility = true
  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }
  security_posture_config {
    mode = "BASIC"
  }

  addons_config {
    gcs_fuse_csi_driver_config {
      enabled = true # weights, see gpu_subscriber/k8s/weights
    }
    gce_persistent_disk_csi_driver_config {
      enabled = true
    }
    http_load_balancing {
      disabled = true # workers receive no requests
    }
  }
  node_pool_defaults {
    node_config_defaults {
      insecure_kubelet_readonly_port_enabled = "FALSE"
      gcfs_config {
        enabled = true # image streaming: a worker's image has gigabytes
      }
    }
  }
  cluster_autoscaling {
    autoscaling_profile = "OPTIMIZE_UTILIZATION" # removes idle GPU nodes sooner
  }

  cost_management_config {
    enabled = true
  }
  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS"]
  }
  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS", "DEPLOYMENT", "HPA", "POD", "DCGM"]
    managed_prometheus {
      enabled = true
    }
  }

  lifecycle {
    # After the default pool's removal, the provider reads one of the pools below here, and would replace the cluster for
    # each difference.
    ignore_changes = [
      node_config[0].disk_size_gb,
      node_config[0].disk_type,
      node_config[0].gcfs_config,
      node_config[0].guest_accelerator,
      node_config[0].gvnic,
      node_config[0].image_type,
      node_config[0].kubelet_config,
      node_config[0].labels,
      node_config[0].machine_type,
      node_config[0].secondary_boot_disks,
      node_config[0].spot,
      node_config[0].taint,
    ]
  }

  depends_on = [google_project_iam_member.nodes]
}

# For KEDA and GKE's own pods. One node in all zones together is enough while no worker runs.
resource "google_container_node_pool" "system" {
  for_each = google_container_cluster.darkroom

  project  = local.project
  name     = "system"
  cluster  = each.value.name
  location = var.region
  # Per zone, at creation: the autoscaler keeps a pool at its minimum, but does not raise an empty pool to it.
  initial_node_count = 1

  autoscaling {
    total_min_node_count = 1
    total_max_node_count = var.cluster.system_nodes_max
    location_policy      = "BALANCED"
  }
  management {
    auto_repair  = true
    auto_upgrade = true
  }
  upgrade_settings {
    max_surge       = 1
    max_unavailable = 0
  }

  node_config {
    machine_type    = var.cluster.system_machine_type
    disk_size_gb    = 50
    disk_type       = "pd-balanced"
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    gcfs_config {
      enabled = true
    }
    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count] # another number of zones would replace the pool
  }
}

# An existing cluster is only read. Its owner may correct it later, so these are warnings.
data "google_container_cluster" "existing" {
  for_each = toset(var.cluster.enabled && var.existing_cluster != null ? ["darkroom"] : [])

  project  = local.project
  name     = var.existing_cluster.name
  location = local.cluster_location
}

check "existing_cluster_fits" {
  assert {
    condition     = alltrue([for cluster in data.google_container_cluster.existing : try(cluster.workload_identity_config[0].workload_pool, null) == "${var.project_id}.svc.id.goog"])
    error_message = "existing_cluster: needs Workload Identity Federation for GKE, with which pods act as service accounts."
  }
  assert {
    condition     = alltrue([for cluster in data.google_container_cluster.existing : try(cluster.control_plane_endpoints_config[0].dns_endpoint_config[0].allow_external_traffic, false)])
    error_message = "existing_cluster: needs a DNS-based endpoint that allows external traffic: Terraform and Cloud Build have no other path to it."
  }
  assert {
    condition     = alltrue([for cluster in data.google_container_cluster.existing : try(cluster.addons_config[0].gcs_fuse_csi_driver_config[0].enabled, false)])
    error_message = "existing_cluster: needs the Cloud Storage FUSE CSI driver, with which pods read the weights."
  }
  assert {
    condition     = alltrue([for cluster in data.google_container_cluster.existing : !coalesce(cluster.enable_autopilot, false) || length(var.gpu_pools) == 0])
    error_message = "existing_cluster: is an Autopilot cluster, which creates its own nodes. Set gpu_pools to {}."
  }
}

resource "google_project_iam_member" "nodes" {
  project = local.project
  role    = "roles/container.defaultNodeServiceAccount" # only logs, metrics and the autoscaler's figures
  member  = google_service_account.nodes.member
}
