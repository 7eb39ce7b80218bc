# Small, cheap and easy to throw away. The project is named on the command line: -var=project_id=…
environment         = "dev"
region              = "europe-west4"
deletion_protection = false
keep_tasks_for_days = 7

api = {
  min_instances = 0
  max_instances = 2
  # Nothing is paid for while nobody asks. Then a task may get a message too many, and metrics are sparse.
  cpu_always = false
}

cluster = {
  # One zone: fewer nodes to pay for, and nothing lost that cannot be made again.
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
