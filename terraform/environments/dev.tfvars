# Small, cheap and easy to destroy. Pass the project on the command line: -var=project_id=…
environment         = "dev"
region              = "europe-west4"
deletion_protection = false
keep_tasks_for_days = 7

api = {
  min_instances = 0
  max_instances = 2
  # No cost without requests. In exchange, a task may get a redundant message, and metrics are sparse.
  cpu_always = false
}

cluster = {
  # One zone: fewer nodes. An outage of the zone loses nothing that cannot be created again.
  zones            = ["europe-west4-a"]
  system_nodes_max = 2
}

gpu_pools = {
  l4-spot = {
    machine_type = "g2-standard-4"
    accelerator  = "nvidia-l4"
    zones        = ["europe-west4-a", "europe-west4-b", "europe-west4-c"]
    max_nodes    = 1
  }
}
