# Production. Pass the project on the command line: -var=project_id=…
environment         = "prod"
region              = "europe-west4"
deletion_protection = true

api = {
  memory        = "2Gi"
  min_instances = 1
  max_instances = 20
}

cluster = {
  release_channel     = "REGULAR"
  system_machine_type = "e2-standard-4"
  system_nodes_max    = 4
}

# Spot nodes first; on-demand nodes for models whose tasks a Spot node could not finish. Not every zone of a region has
# every GPU.
gpu_pools = {
  l4-spot = {
    machine_type = "g2-standard-4"
    accelerator  = "nvidia-l4"
    max_nodes    = 16
  }
  a100 = {
    machine_type = "a2-highgpu-1g"
    accelerator  = "nvidia-tesla-a100"
    spot         = false
    zones        = ["europe-west4-a", "europe-west4-b"]
    max_nodes    = 4
    disk_gb      = 200 # room for the cache of gpu_subscriber/k8s/weights
  }
}

# An overlay of gpu_subscriber/k8s pulls from each. Your model_catalog_file defines `sdxl`.
model_pools = {
  demo = ["demo"]
  sdxl = ["sdxl"]
}

outbound_addresses = 2
