# Values that must be refused, each with a sentence that names the variable and the limit.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "google-beta" {}
mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  # Of their own, so that the tests do not depend on the environment they run with.
  model_pools = { demo = ["demo"] }
  project_id  = "example-project"
  environment = "test"
}

run "an_emulators_project" {
  command = plan
  variables {
    project_id = "demo-darkroom"
  }
  expect_failures = [var.project_id]
}

run "a_model_in_two_pools" {
  command = plan
  variables {
    model_pools = { a = ["demo"], b = ["demo"] }
  }
  expect_failures = [var.model_pools]
}

run "a_model_of_the_catalog_in_no_pool" {
  command = plan
  variables {
    model_catalog_file = "tests/three_models.json"
    model_pools        = { demo = ["demo"], large = ["sdxl"] }
  }
  expect_failures = [var.model_pools]
}

run "the_built_in_model_in_no_pool" {
  command = plan
  variables {
    model_pools = { large = ["sdxl"] }
  }
  expect_failures = [var.model_pools]
}

run "a_pool_of_a_model_that_the_catalog_lacks" {
  command = plan
  variables {
    model_catalog_file = "tests/three_models.json"
    model_pools        = { demo = ["demo"], large = ["sdxl", "flux", "dream"] }
  }
  expect_failures = [var.model_pools]
}

run "a_draining_pool_that_gets_messages" {
  command = plan
  variables {
    draining_pools = ["demo"]
  }
  expect_failures = [var.draining_pools]
}

run "a_pool_whose_least_is_more_than_its_most" {
  command = plan
  variables {
    gpu_pools = { l4 = { machine_type = "g2-standard-8", accelerator = "nvidia-l4", min_nodes = 3, max_nodes = 2 } }
  }
  expect_failures = [var.gpu_pools]
}

run "images_of_tasks_that_rescue_may_not_give_up_yet" {
  command = plan
  variables {
    give_up_after_days = 3
  }
  expect_failures = [var.give_up_after_days]
}

run "any_origin" {
  command = plan
  variables {
    browser_origins = ["*"]
  }
  expect_failures = [var.browser_origins]
}

run "a_setting_that_no_process_reads" {
  command = plan
  variables {
    api_settings = { MAX_ACTIVE_TASKS = "100" }
  }
  expect_failures = [var.api_settings]
}

run "a_setting_that_other_variables_decide" {
  command = plan
  variables {
    api_settings = { DARKROOM_KEEP_TASKS_FOR_DAYS = "1" }
  }
  expect_failures = [google_cloud_run_v2_service.api]
}

run "more_zones_than_nodes_of_the_system" {
  command = plan
  variables {
    cluster = { system_nodes_max = 2 }
  }
  expect_failures = [var.cluster]
}

run "a_budget_of_nobody" {
  command = plan
  variables {
    budget = { billing_account = "mine", amount = 100 }
  }
  expect_failures = [var.budget]
}

run "workers_of_a_pool_that_is_not" {
  command = plan
  variables {
    cloud_run_workers = { image = "image", model_pool = "absent" }
  }
  expect_failures = [var.cloud_run_workers]
}

run "a_secret_that_goes_back" {
  command = plan
  variables {
    secret_versions = { webhook_key = 0 }
  }
  expect_failures = [var.secret_versions]
}
