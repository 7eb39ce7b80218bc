# Existing networks and clusters, and customer-managed keys.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_data "google_compute_subnetwork" {
    defaults = {
      ip_cidr_range            = "10.1.0.0/24"
      network                  = "https://www.googleapis.com/compute/v1/projects/example-network/global/networks/shared"
      private_ip_google_access = true
      secondary_ip_range       = [{ range_name = "pods", ip_cidr_range = "10.2.0.0/16" }, { range_name = "services", ip_cidr_range = "10.3.0.0/20" }]
    }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }
  mock_data "google_container_cluster" {
    defaults = {
      addons_config                  = [{ gcs_fuse_csi_driver_config = [{ enabled = true }] }]
      control_plane_endpoints_config = [{ dns_endpoint_config = [{ allow_external_traffic = true, endpoint = "cluster.example.com" }] }]
      enable_autopilot               = false
      workload_identity_config       = [{ workload_pool = "example-project.svc.id.goog" }]
    }
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
  gpu_pools        = { l4 = { machine_type = "g2-standard-4", accelerator = "nvidia-l4" } }
  domain           = null
  existing_cluster = null
  existing_network = null
  kms_keys         = {}
}

run "existing_network_of_a_shared_vpc" {
  command = plan

  variables {
    existing_network = { project = "example-network", network = "shared", nodes_subnet = "nodes", api_subnet = "egress" }
  }

  assert {
    condition = (
      google_container_cluster.darkroom["darkroom"].network == "projects/example-network/global/networks/shared" &&
      google_container_cluster.darkroom["darkroom"].subnetwork == "projects/example-network/regions/europe-west4/subnetworks/nodes" &&
      google_cloud_run_v2_service.api.template[0].vpc_access[0].network_interfaces[0].subnetwork == "projects/example-network/regions/europe-west4/subnetworks/egress"
    )
    error_message = "the cluster and the API use the host project's subnets"
  }
  assert {
    condition     = length(google_compute_network.darkroom) + length(google_compute_subnetwork.nodes) + length(google_compute_subnetwork.api) + length(google_compute_router_nat.darkroom) + length(google_compute_address.way_out) + length(google_compute_firewall.api_stays_outside) == 0
    error_message = "the host project's administrator owns the network, its NAT and its firewall"
  }
}

run "existing_network_of_this_project" {
  command = plan

  variables {
    existing_network = { network = "shared", nodes_subnet = "nodes", api_subnet = "egress" }
  }

  assert {
    condition     = google_compute_firewall.api_stays_outside[0].network == "projects/example-project/global/networks/shared"
    error_message = "the API's firewall rule is added to a network of this project"
  }
}

run "unsuitable_network_is_reported" {
  command = plan

  variables {
    existing_network = { network = "other", nodes_subnet = "nodes", api_subnet = "egress", pods_range = "absent" }
  }

  expect_failures = [check.existing_network_fits]
}

run "existing_cluster_gets_node_pools_and_keda" {
  command = plan

  variables {
    existing_cluster = { name = "platform" }
  }

  assert {
    condition     = length(google_container_cluster.darkroom) + length(google_container_node_pool.system) + length(google_binary_authorization_policy.images) == 0
    error_message = "the cluster, its system nodes and its admission policy belong to others"
  }
  assert {
    condition = (
      google_container_node_pool.gpu["l4"].node_config[0].guest_accelerator[0].type == "nvidia-l4" &&
      length(helm_release.keda) == 1 && length(google_service_account.keda) == 1 &&
      toset(keys(google_service_account_iam_member.pods)) == toset(["worker", "keda"])
    )
    error_message = "GPU nodes and KEDA are added"
  }
  assert {
    condition     = output.cluster_credentials_command == "gcloud container clusters get-credentials platform --location=europe-west4 --project=example-project --dns-endpoint"
    error_message = "kubectl is configured for the existing cluster"
  }
}

run "keda_of_an_existing_cluster_gets_its_permissions" {
  command = plan

  variables {
    existing_cluster = { name = "platform", location = "europe-west4-a", keda_account = "keda@example-platform.iam.gserviceaccount.com" }
  }

  assert {
    condition = (
      google_project_iam_member.keda_reads_metrics[0].member == "serviceAccount:keda@example-platform.iam.gserviceaccount.com" &&
      google_secret_manager_secret_iam_member.keda[0].member == "serviceAccount:keda@example-platform.iam.gserviceaccount.com"
    )
    error_message = "KEDA reads the metrics and the API's token"
  }
  assert {
    condition     = length(helm_release.keda) + length(google_service_account.keda) == 0 && keys(google_service_account_iam_member.pods) == ["worker"]
    error_message = "no second KEDA is installed"
  }
}

run "keys_are_granted_to_the_agents_that_use_them" {
  command = plan

  variables {
    kms_keys = {
      buckets   = "projects/k/locations/europe-west4/keyRings/r/cryptoKeys/buckets"
      firestore = "projects/k/locations/europe-west4/keyRings/r/cryptoKeys/firestore"
      registry  = "projects/k/locations/europe-west4/keyRings/r/cryptoKeys/registry"
      topics    = "projects/k/locations/global/keyRings/r/cryptoKeys/topics"
    }
  }

  assert {
    condition     = { for name, grant in google_kms_crypto_key_iam_member.agents_encrypt : name => grant.crypto_key_id } == { for name, key in var.kms_keys : name => key }
    error_message = "each agent may use its key"
  }
  assert {
    condition = (
      alltrue([for bucket in [google_storage_bucket.images, google_storage_bucket.weights, google_storage_bucket.builds] : one(bucket.encryption).default_kms_key_name == var.kms_keys.buckets]) &&
      one(google_firestore_database.darkroom.cmek_config).kms_key_name == var.kms_keys.firestore &&
      google_artifact_registry_repository.images.kms_key_name == var.kms_keys.registry &&
      alltrue([for topic in google_pubsub_topic.topics : topic.kms_key_name == var.kms_keys.topics])
    )
    error_message = "every bucket, the database, the repository and every topic are encrypted with the given keys"
  }
  assert {
    condition     = contains(keys(google_project_service.enabled), "cloudkms.googleapis.com")
    error_message = "Terraform grants roles on keys"
  }
}

run "google_encrypts_without_keys" {
  command = plan

  assert {
    condition     = length(google_storage_bucket.images.encryption) + length(google_kms_crypto_key_iam_member.agents_encrypt) == 0 && !contains(keys(google_project_service.enabled), "cloudkms.googleapis.com")
    error_message = "keys are optional"
  }
}
