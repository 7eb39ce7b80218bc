# GPU machines: node pools that scale to zero, and Cloud Run workers without a cluster.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "google-beta" {}
mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  # The tests set all values, so that they do not depend on the environment.
  model_pools = { demo = ["demo"] }
  project_id  = "example-project"
  environment = "test"
  gpu_pools = {
    spot = {
      machine_type        = "g2-standard-8"
      accelerator         = "nvidia-l4"
      extended_shutdown   = true
      secondary_boot_disk = { image = "global/images/weights", holds = "WEIGHTS" }
    }
    steady = {
      machine_type = "a2-highgpu-1g"
      accelerator  = "nvidia-tesla-a100"
      spot         = false
      min_nodes    = 1
      max_nodes    = 2
      taints       = [{ key = "team", value = "pictures", effect = "NO_SCHEDULE" }]
    }
  }
  domain           = null
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "gpu_pools_scale_to_zero_and_are_labelled" {
  command = plan

  assert {
    condition = (
      google_container_node_pool.gpu["spot"].autoscaling[0].total_min_node_count == 0 &&
      google_container_node_pool.gpu["spot"].node_config[0].spot &&
      google_container_node_pool.gpu["spot"].node_config[0].labels["darkroom/pool"] == "spot"
    )
    error_message = "a pool has no nodes until a worker needs one"
  }
  assert {
    condition = (
      google_container_node_pool.gpu["spot"].node_config[0].taint[*].key == tolist(["cloud.google.com/gke-spot"]) &&
      google_container_node_pool.gpu["steady"].node_config[0].taint[*].key == tolist(["team"])
    )
    error_message = "Spot nodes are tainted, so that only pods that tolerate preemption run there"
  }
  assert {
    condition = (
      google_container_node_pool.gpu["spot"].node_config[0].kubelet_config[0].shutdown_grace_period_seconds == 120 &&
      google_container_node_pool.gpu["spot"].node_config[0].kubelet_config[0].shutdown_grace_period_critical_pods_seconds == 15
    )
    error_message = "an extended shutdown gives pods 105 seconds"
  }
  assert {
    condition     = google_container_node_pool.gpu["spot"].node_config[0].secondary_boot_disks[0].disk_image == "global/images/weights"
    error_message = "the disk with the weights is attached"
  }
}

run "pools_of_a_compute_class_are_reserved_for_it" {
  command = plan

  variables {
    gpu_pools = {
      l4-spot = { machine_type = "g2-standard-4", accelerator = "nvidia-l4", compute_class = "darkroom-l4" }
      l4      = { machine_type = "g2-standard-4", accelerator = "nvidia-l4", spot = false, compute_class = "darkroom-l4" }
    }
  }

  assert {
    condition = alltrue([for pool in google_container_node_pool.gpu :
      pool.node_config[0].labels["cloud.google.com/compute-class"] == "darkroom-l4" &&
      contains(pool.node_config[0].taint[*].key, "cloud.google.com/compute-class")
    ])
    error_message = "GKE finds the nodes of a class by this label and keeps other pods away by this taint"
  }
}

run "cloud_run_workers_need_no_cluster" {
  command = plan

  variables {
    cluster           = { enabled = false }
    cloud_run_workers = { image = "europe-west4-docker.pkg.dev/example-project/darkroom/darkroom-worker:1", model_pool = "demo", instances = { min = 1, max = 4 } }
  }

  assert {
    condition     = length(google_container_cluster.darkroom) + length(google_container_node_pool.gpu) + length(helm_release.keda) + length(google_service_account.keda) == 0
    error_message = "without a cluster none of its resources are created"
  }
  assert {
    condition = (
      google_cloud_run_v2_worker_pool.workers[0].scaling[0].manual_instance_count == 1 &&
      google_cloud_run_v2_worker_pool.workers[0].template[0].containers[0].resources[0].limits["nvidia.com/gpu"] == "1"
    )
    error_message = "the pool begins with its smallest number of workers, with one GPU each"
  }
  assert {
    condition = alltrue([for name, value in { DARKROOM_SUBSCRIPTION = "darkroom-tasks-demo", DARKROOM_MODELS = "demo", DARKROOM_DEVICE = "cuda" } :
    contains([for env in google_cloud_run_v2_worker_pool.workers[0].template[0].containers[0].env : "${env.name}=${env.value}"], "${name}=${value}")])
    error_message = "the worker pulls from its pool's subscription"
  }
  assert {
    condition = contains([for env in google_cloud_run_v2_service.api.template[0].containers[0].env : "${env.name}=${coalesce(env.value, "-")}"],
    "DARKROOM_CLOUD_RUN_WORKERS=${jsonencode({ name = "projects/example-project/locations/europe-west4/workerPools/darkroom-worker", models = ["demo"], min_instances = 1, max_instances = 4 })}")
    error_message = "the API sets the pool's size within its bounds"
  }
  assert {
    condition = (
      google_cloud_scheduler_job.clockwork["darkroom-scale-workers"].schedule == "* * * * *" &&
      google_cloud_run_v2_worker_pool_iam_member.api_sets_size[0].name == "darkroom-worker" &&
      google_cloud_run_v2_worker_pool_iam_member.builder_updates_workers[0].name == "darkroom-worker" &&
      contains(keys(google_monitoring_alert_policy.alerts), "workers_not_scaled") &&
      !contains(keys(google_monitoring_alert_policy.alerts), "autoscaler_is_blind")
    )
    error_message = "the scheduler calls the API each minute, the API and the builder may change this pool, and an alert reports when it does not"
  }
}

run "pool_without_cloud_run_workers_is_not_scaled_by_the_api" {
  command = plan

  assert {
    condition = (
      !contains(keys(google_cloud_scheduler_job.clockwork), "darkroom-scale-workers") &&
      !contains(keys(google_monitoring_alert_policy.alerts), "workers_not_scaled") &&
      length(google_cloud_run_v2_worker_pool_iam_member.api_sets_size) + length(google_service_account_iam_member.api_updates_workers) == 0 &&
      !contains(google_cloud_run_v2_service.api.template[0].containers[0].env[*].name, "DARKROOM_CLOUD_RUN_WORKERS")
    )
    error_message = "without workers on Cloud Run the API has no rights on them, and no job calls it"
  }
}

run "weights_job_writes_models_and_reads_its_token" {
  command = plan

  variables {
    weights_job = { image = "europe-west4-docker.pkg.dev/example-project/darkroom/darkroom-worker:1", hub_token = true }
  }

  assert {
    condition = (
      google_cloud_run_v2_job.weights[0].template[0].template[0].containers[0].command[3] == "--to=gs://example-project-darkroom-weights/models" &&
      google_storage_bucket_iam_member.job_writes_weights[0].condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/example-project-darkroom-weights/objects/models/\")"
    )
    error_message = "the job writes below models/, where alone its account may write"
  }
  assert {
    condition     = one(google_cloud_run_v2_job.weights[0].template[0].template[0].containers[0].env).value_source[0].secret_key_ref[0].secret == "darkroom-hub-token"
    error_message = "the token is read from Secret Manager"
  }
}

run "weights_job_without_a_token_starts_without_its_secret" {
  command = plan

  variables {
    weights_job = { image = "europe-west4-docker.pkg.dev/example-project/darkroom/darkroom-worker:1" }
  }

  assert {
    condition     = length(google_cloud_run_v2_job.weights[0].template[0].template[0].containers[0].env) == 0
    error_message = "Cloud Run refuses a secret without a version"
  }
}
