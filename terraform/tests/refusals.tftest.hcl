# Values that must be refused, each with a message that names the variable and the limit.

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
  model_pools      = { demo = ["demo"] }
  project_id       = "example-project"
  environment      = "test"
  domain           = null
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "project_of_an_emulator" {
  command = plan
  variables {
    project_id = "demo-darkroom"
  }
  expect_failures = [var.project_id]
}

run "model_in_two_pools" {
  command = plan
  variables {
    model_pools = { a = ["demo"], b = ["demo"] }
  }
  expect_failures = [var.model_pools]
}

run "model_of_the_catalog_in_no_pool" {
  command = plan
  variables {
    model_catalog_file = "tests/three_models.json"
    model_pools        = { demo = ["demo"], large = ["sdxl"] }
  }
  expect_failures = [var.model_pools]
}

run "built_in_model_in_no_pool" {
  command = plan
  variables {
    model_pools = { large = ["sdxl"] }
  }
  expect_failures = [var.model_pools]
}

run "pool_with_a_model_that_is_not_in_the_catalog" {
  command = plan
  variables {
    model_catalog_file = "tests/three_models.json"
    model_pools        = { demo = ["demo"], large = ["sdxl", "flux", "dream"] }
  }
  expect_failures = [var.model_pools]
}

run "draining_pool_that_gets_messages" {
  command = plan
  variables {
    draining_pools = ["demo"]
  }
  expect_failures = [var.draining_pools]
}

run "pool_with_min_nodes_above_max_nodes" {
  command = plan
  variables {
    gpu_pools = { l4 = { machine_type = "g2-standard-8", accelerator = "nvidia-l4", min_nodes = 3, max_nodes = 2 } }
  }
  expect_failures = [var.gpu_pools]
}

run "give_up_after_days_below_the_longest_deadline" {
  command = plan
  variables {
    give_up_after_days = 3
  }
  expect_failures = [var.give_up_after_days]
}

run "wildcard_origin" {
  command = plan
  variables {
    browser_origins = ["*"]
  }
  expect_failures = [var.browser_origins]
}

run "setting_that_no_process_reads" {
  command = plan
  variables {
    api_settings = { MAX_ACTIVE_TASKS = "100" }
  }
  expect_failures = [var.api_settings]
}

run "setting_that_is_derived_from_other_variables" {
  command = plan
  variables {
    api_settings = { DARKROOM_KEEP_TASKS_FOR_DAYS = "1" }
  }
  expect_failures = [google_cloud_run_v2_service.api]
}

run "more_zones_than_system_nodes" {
  command = plan
  variables {
    cluster = { system_nodes_max = 2 }
  }
  expect_failures = [var.cluster]
}

run "budget_without_a_billing_account" {
  command = plan
  variables {
    budget = { billing_account = "mine", amount = 100 }
  }
  expect_failures = [var.budget]
}

run "cloud_run_workers_of_an_unknown_pool" {
  command = plan
  variables {
    cloud_run_workers = { image = "image", model_pool = "absent" }
  }
  expect_failures = [var.cloud_run_workers]
}

run "secret_version_below_one" {
  command = plan
  variables {
    secret_versions = { webhook_key = 0 }
  }
  expect_failures = [var.secret_versions]
}

run "allowed_user_without_a_domain" {
  command = plan
  variables {
    allowed_users = ["ada"]
  }
  expect_failures = [var.allowed_users]
}

run "everyone_and_one_user" {
  command = plan
  variables {
    allowed_users = ["*", "ada@example.com"]
  }
  expect_failures = [var.allowed_users]
}

run "allowed_user_with_a_quote" {
  command = plan
  variables {
    allowed_users = ["a\"]}@example.com"]
  }
  expect_failures = [var.allowed_users]
}

run "operator_with_a_quote" {
  command = plan
  variables {
    operators = ["a\"b"]
  }
  expect_failures = [var.operators]
}

# Each of these refuses one value of every variable in it. Variables whose rules read another one of them are in
# different runs, because Terraform does not evaluate a rule that reads a refused variable.

run "values_that_are_refused_first" {
  command = plan
  variables {
    alert_emails         = ["ops"]
    alert_limits         = { failed_share = 1.5 }
    allowed_users        = ["@example.com"]
    api                  = { min_instances = 3, max_instances = 2 }
    browser_origins      = ["https://pictures.example.com/"]
    budget               = { billing_account = "01ABCD-234567-89EFAB", amount = 0.5 }
    build_region         = "europe-west1-b"
    cloud_run_workers    = { image = "image", model_pool = "demo", memory = "32Gi" }
    cluster              = { release_channel = "FAST" }
    draining_pools       = ["Old"]
    environment          = "Prod"
    firestore_location   = "europe"
    give_up_after_days   = 7.5
    gpu_pools            = { l4 = { machine_type = "g2-standard-8", accelerator = "nvidia-tesla-a100" } }
    keep_tasks_for_days  = 0
    network_ranges       = { pods = "10.64.0.0/16" }
    operators            = ["a b"]
    outbound_addresses   = 17
    price_currency       = "Dollar"
    price_per_gpu_second = -1
    quotas               = { active_gpu_seconds = -1 }
    release_trigger      = { repository = "https://github.com/a/b" }
    scheduler_region     = "europe"
    secret_versions      = { webhook_key = 1.5 }
  }
  expect_failures = [
    var.alert_emails,
    var.alert_limits,
    var.allowed_users,
    var.api,
    var.browser_origins,
    var.budget,
    var.build_region,
    var.cloud_run_workers,
    var.cluster,
    var.draining_pools,
    var.environment,
    var.firestore_location,
    var.give_up_after_days,
    var.gpu_pools,
    var.keep_tasks_for_days,
    var.network_ranges,
    var.operators,
    var.outbound_addresses,
    var.price_currency,
    var.price_per_gpu_second,
    var.quotas,
    var.release_trigger,
    var.scheduler_region,
    var.secret_versions,
  ]
}

run "values_that_are_refused_second" {
  command = plan
  variables {
    alert_limits      = { oldest_seconds = 1 }
    api               = { cpu = "3" }
    budget            = { billing_account = "01ABCD-234567-89EFAB", amount = 1, currency = "usd" }
    cloud_run_workers = { image = "image", model_pool = "demo", cpu = "2" }
    cluster           = { zones = ["us-central1-a"] }
    gpu_pools         = { l4 = { machine_type = "g2-standard-24", accelerator = "nvidia-l4" } }
    network_ranges    = { api = "10.66.0.0/27" }
  }
  expect_failures = [
    var.alert_limits,
    var.api,
    var.budget,
    var.cloud_run_workers,
    var.cluster,
    var.gpu_pools,
    var.network_ranges,
  ]
}

run "values_that_are_refused_third" {
  command = plan
  variables {
    api               = { cpu = "1", memory = "8Gi" }
    cloud_run_workers = { image = "image", model_pool = "demo", gpu = "nvidia-tesla-t4" }
    gpu_pools         = { L4 = { machine_type = "g2-standard-8", accelerator = "nvidia-l4" } }
    network_ranges    = { nodes = "8.8.0.0/20" }
  }
  expect_failures = [
    var.api,
    var.cloud_run_workers,
    var.gpu_pools,
    var.network_ranges,
  ]
}

run "values_that_are_refused_fourth" {
  command = plan
  variables {
    api               = { cpu = "4", memory = "1Gi" }
    cloud_run_workers = { image = "image", model_pool = "demo", instances = { max = 21 } }
    gpu_pools         = { l4 = { machine_type = "g2-standard-8", accelerator = "nvidia-l4", zones = ["us-central1-a"] } }
    network_ranges    = { nodes = "10.64.0.0/33" }
  }
  expect_failures = [
    var.api,
    var.cloud_run_workers,
    var.gpu_pools,
    var.network_ranges,
  ]
}

run "values_that_are_refused_fifth" {
  command = plan
  variables {
    api         = { memory = "512Mi" }
    gpu_pools   = { l4 = { machine_type = "n1-standard-8", accelerator = "nvidia-l4" } }
    model_pools = { Demo = ["demo"] }
  }
  expect_failures = [
    var.api,
    var.gpu_pools,
    var.model_pools,
  ]
}

run "values_that_are_refused_sixth" {
  command = plan
  variables {
    gpu_pools   = { l4 = { machine_type = "g2-standard-8", accelerator = "nvidia-l4", taints = [{ key = "a", value = "b", effect = "NoSchedule" }] } }
    model_pools = { demo = ["Demo"] }
  }
  expect_failures = [
    var.gpu_pools,
    var.model_pools,
  ]
}

run "values_that_are_refused_seventh" {
  command = plan
  variables {
    model_catalog_file = "tests/absent.json"
    region             = "europe-west4-a"
  }
  expect_failures = [
    var.model_catalog_file,
    var.region,
  ]
}

run "compute_class_with_a_capital" {
  command = plan
  variables {
    gpu_pools = { l4 = { machine_type = "g2-standard-8", accelerator = "nvidia-l4", compute_class = "L4" } }
  }
  expect_failures = [var.gpu_pools]
}

run "more_workers_at_least_than_at_most" {
  command = plan
  variables {
    cloud_run_workers = { image = "image", model_pool = "demo", instances = { min = 3, max = 2 } }
  }
  expect_failures = [var.cloud_run_workers]
}

run "weights_job_without_an_image_of_the_registry" {
  command = plan
  variables {
    weights_job = { image = "darkroom-worker" }
  }
  expect_failures = [var.weights_job]
}

run "surroundings_that_are_refused_first" {
  command = plan
  variables {
    domain           = { name = "https://pictures.example.com" }
    existing_network = { project = "Host", network = "shared", nodes_subnet = "nodes", api_subnet = "egress" }
    kms_keys         = { buckets = "images" }
  }
  expect_failures = [
    var.domain,
    var.existing_network,
    var.kms_keys,
  ]
}

run "surroundings_that_are_refused_second" {
  command = plan
  variables {
    domain           = { name = "darkroom.run.app" }
    existing_network = { network = "projects/p/global/networks/shared", nodes_subnet = "nodes", api_subnet = "egress" }
    kms_keys         = { registry = "projects/k/locations/us-central1/keyRings/r/cryptoKeys/k" }
  }
  expect_failures = [
    var.domain,
    var.existing_network,
    var.kms_keys,
  ]
}

run "surroundings_that_are_refused_third" {
  command = plan
  variables {
    domain             = { name = "pictures.example.com", requests_per_minute = 10 }
    existing_network   = { network = "shared", nodes_subnet = "nodes", api_subnet = "egress", pods_range = "services" }
    firestore_location = "eur3"
    kms_keys           = { firestore = "projects/k/locations/europe-west4/keyRings/r/cryptoKeys/k" }
  }
  expect_failures = [
    var.domain,
    var.existing_network,
    var.kms_keys,
  ]
}

run "surroundings_that_are_refused_fourth" {
  command = plan
  variables {
    domain           = { name = "pictures.example.com", allowed_countries = ["de"] }
    existing_network = { network = "shared", api_subnet = "egress" }
    kms_keys         = { topics = "projects/k/locations/us-central1/keyRings/r/cryptoKeys/k" }
  }
  expect_failures = [
    var.domain,
    var.existing_network,
    var.kms_keys,
  ]
}

run "existing_cluster_as_a_path" {
  command = plan
  variables {
    existing_cluster = { name = "projects/p/locations/l/clusters/c" }
  }
  expect_failures = [var.existing_cluster]
}

run "existing_cluster_in_another_region" {
  command = plan
  variables {
    existing_cluster = { name = "platform", location = "us-central1" }
  }
  expect_failures = [var.existing_cluster]
}

run "existing_cluster_without_an_address_of_kedas_account" {
  command = plan
  variables {
    existing_cluster = { name = "platform", keda_account = "keda" }
  }
  expect_failures = [var.existing_cluster]
}

run "existing_cluster_that_is_not_used" {
  command = plan
  variables {
    cluster          = { enabled = false }
    existing_cluster = { name = "platform" }
  }
  expect_failures = [var.existing_cluster]
}
