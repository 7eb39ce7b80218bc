# Production within a company: a domain, a Shared VPC and keys that other teams manage.
# Pass the project on the command line: -var=project_id=…
environment         = "company"
region              = "europe-west4"
deletion_protection = true

domain = {
  name              = "pictures.example.com"
  allowed_countries = ["AT", "CH", "DE"]
}

existing_network = {
  project        = "example-network"
  network        = "shared"
  nodes_subnet   = "darkroom-nodes"
  pods_range     = "darkroom-pods"
  services_range = "darkroom-services"
  api_subnet     = "darkroom-api"
}

kms_keys = {
  buckets   = "projects/example-keys/locations/europe-west4/keyRings/darkroom/cryptoKeys/images"
  firestore = "projects/example-keys/locations/europe-west4/keyRings/darkroom/cryptoKeys/tasks"
  registry  = "projects/example-keys/locations/europe-west4/keyRings/darkroom/cryptoKeys/releases"
  topics    = "projects/example-keys/locations/europe-west4/keyRings/darkroom/cryptoKeys/messages"
}

api = {
  memory        = "2Gi"
  min_instances = 1
  max_instances = 20
}

gpu_pools = {
  l4-spot = {
    machine_type = "g2-standard-4"
    accelerator  = "nvidia-l4"
    max_nodes    = 8
    zones        = ["europe-west4-a", "europe-west4-b", "europe-west4-c"]
  }
}
