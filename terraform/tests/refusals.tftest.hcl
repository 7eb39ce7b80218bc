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
  model_pools = { demo = ["demo"] }
  project_id  = "example-project"
  environment = "test"
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
