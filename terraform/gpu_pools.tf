# Nodes with GPUs. Each pool scales to zero: a node exists only while a worker needs it.

locals {
  compute_class_key = "cloud.google.com/compute-class"
}

resource "google_container_node_pool" "gpu" {
  for_each = var.cluster.enabled ? var.gpu_pools : {}

  project        = local.project
  name           = each.key
  cluster        = local.cluster.name
  location       = local.cluster_location
  node_locations = length(each.value.zones) > 0 ? each.value.zones : null

  autoscaling {
    total_min_node_count = each.value.min_nodes
    total_max_node_count = each.value.max_nodes
    # GPUs are scarce: use any zone with a free one.
    location_policy = "ANY"
  }
  management {
    auto_repair  = true
    auto_upgrade = true
  }
  # A surge would need one GPU more than the quota may allow.
  upgrade_settings {
    max_surge       = 0
    max_unavailable = 1
  }

  node_config {
    machine_type    = each.value.machine_type
    spot            = each.value.spot
    disk_size_gb    = each.value.disk_gb
    disk_type       = each.value.disk_type
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels = merge(each.value.labels, { "darkroom/pool" = each.key },
      each.value.compute_class == null ? {} : { (local.compute_class_key) = each.value.compute_class },
    )

    guest_accelerator {
      type  = each.value.accelerator
      count = each.value.accelerators_per_node
      gpu_driver_installation_config {
        gpu_driver_version = each.value.driver
      }
    }

    # GKE adds the taint nvidia.com/gpu.
    dynamic "taint" {
      for_each = concat(
        each.value.spot ? [{ key = "cloud.google.com/gke-spot", value = "true", effect = "NO_SCHEDULE" }] : [],
        each.value.compute_class == null ? [] : [{ key = local.compute_class_key, value = each.value.compute_class, effect = "NO_SCHEDULE" }],
        each.value.taints,
      )
      content {
        key    = taint.value.key
        value  = taint.value.value
        effect = taint.value.effect
      }
    }

    dynamic "secondary_boot_disks" {
      for_each = each.value.secondary_boot_disk == null ? [] : [each.value.secondary_boot_disk]
      content {
        disk_image = secondary_boot_disks.value.image
        mode       = secondary_boot_disks.value.holds == "CONTAINER_IMAGES" ? "CONTAINER_IMAGE_CACHE" : null
      }
    }

    kubelet_config {
      insecure_kubelet_readonly_port_enabled = "FALSE"
      # The OOM killer ends only the engine process; the worker still hands back its tasks.
      single_process_oom_kill = true
      # 120 seconds, of which the last 15 are for the node's own pods.
      shutdown_grace_period_seconds               = each.value.extended_shutdown ? 120 : null
      shutdown_grace_period_critical_pods_seconds = each.value.extended_shutdown ? 15 : null
    }

    gcfs_config {
      enabled = true
    }
    gvnic {
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
}
