# Pools of models, and the machines that their workers run on.

variable "cloud_run_workers" {
  description = "Workers on Cloud Run GPUs instead of a cluster, for few workers: image (of the first apply; releases replace it), model pool, and the bounds of their number, which follows the demand. Equal bounds fix the number. Null: none."
  type = object({
    image      = string
    model_pool = string
    instances  = optional(object({ min = optional(number, 0), max = optional(number, 1) }), {})
    gpu        = optional(string, "nvidia-l4")
    cpu        = optional(string, "4")
    memory     = optional(string, "16Gi")
  })
  default = null

  validation {
    condition     = var.cloud_run_workers == null ? true : contains(keys(var.model_pools), var.cloud_run_workers.model_pool)
    error_message = "cloud_run_workers: model_pool must be one of the keys of model_pools."
  }
  # https://cloud.google.com/run/docs/configuring/workerpools/gpu
  validation {
    condition     = var.cloud_run_workers == null ? true : contains(["nvidia-l4", "nvidia-rtx-pro-6000"], var.cloud_run_workers.gpu)
    error_message = "cloud_run_workers: gpu must be nvidia-l4 or nvidia-rtx-pro-6000."
  }
  validation {
    condition = var.cloud_run_workers == null ? true : try(
      tonumber(var.cloud_run_workers.cpu) >= { nvidia-l4 = 4, nvidia-rtx-pro-6000 = 20 }[var.cloud_run_workers.gpu] &&
      tonumber(trimsuffix(var.cloud_run_workers.memory, "Gi")) >= { nvidia-l4 = 16, nvidia-rtx-pro-6000 = 80 }[var.cloud_run_workers.gpu] &&
      (tonumber(var.cloud_run_workers.cpu) >= 8 || tonumber(trimsuffix(var.cloud_run_workers.memory, "Gi")) <= 16)
    , !contains(["nvidia-l4", "nvidia-rtx-pro-6000"], var.cloud_run_workers.gpu))
    error_message = "cloud_run_workers: Cloud Run requires at least 4 cpu and 16Gi with nvidia-l4 (8 cpu for more memory), and 20 cpu and 80Gi with nvidia-rtx-pro-6000. memory is in whole Gi."
  }
  validation {
    condition = var.cloud_run_workers == null ? true : (
      0 <= var.cloud_run_workers.instances.min && var.cloud_run_workers.instances.min <= var.cloud_run_workers.instances.max &&
      1 <= var.cloud_run_workers.instances.max && var.cloud_run_workers.instances.max <= 20 &&
      floor(var.cloud_run_workers.instances.min) == var.cloud_run_workers.instances.min &&
      floor(var.cloud_run_workers.instances.max) == var.cloud_run_workers.instances.max
    )
    error_message = "cloud_run_workers: instances.min and instances.max must be whole numbers with 0 <= min <= max, and max from 1 to 20. For more, a cluster is cheaper."
  }
}

variable "cluster" {
  description = "The GKE cluster: whether it is created, its release channel, the zones of its nodes (empty: GKE chooses), and the machines for KEDA and GKE's own pods."
  type = object({
    enabled             = optional(bool, true)
    release_channel     = optional(string, "REGULAR")
    zones               = optional(list(string), [])
    system_machine_type = optional(string, "e2-standard-2")
    system_nodes_max    = optional(number, 3)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE", "EXTENDED"], var.cluster.release_channel)
    error_message = "cluster: release_channel must be RAPID, REGULAR, STABLE or EXTENDED."
  }
  validation {
    condition     = alltrue([for zone in var.cluster.zones : startswith(zone, "${var.region}-")])
    error_message = "cluster: zones must be in the region, such as europe-west4-a in europe-west4."
  }
  validation {
    condition     = var.cluster.system_nodes_max >= (length(var.cluster.zones) > 0 ? length(var.cluster.zones) : 3)
    error_message = "cluster: system_nodes_max must be at least the number of zones (3 if zones is empty), because the pool begins with one node per zone."
  }
}

variable "draining_pools" {
  description = "Pools that were removed from model_pools or renamed. Their subscriptions get no new messages and are kept until they are drained. docs/operating/deploy.md, \"Pool changes\", describes how to drain a pool and when to remove it from this list."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setintersection(var.draining_pools, keys(var.model_pools))) == 0
    error_message = "draining_pools: ${join(", ", setintersection(var.draining_pools, keys(var.model_pools)))} is also in model_pools and gets new messages. Remove it from one of the two."
  }
  validation {
    condition     = alltrue([for name in var.draining_pools : can(regex("^[a-z0-9][a-z0-9-]{0,30}$", name))])
    error_message = "draining_pools: names must have 1 to 31 lower-case letters, digits and hyphens, as in model_pools."
  }
}

variable "existing_cluster" {
  description = "An existing GKE cluster of this project in place of one of darkroom's own: its name and its location (null: the region). Terraform adds gpu_pools to it and installs KEDA. If KEDA is installed already, set keda_account to the email of the service account that its operator acts as. cluster then has no effect, except enabled."
  type = object({
    name         = string
    location     = optional(string)
    keda_account = optional(string)
  })
  default = null

  validation {
    condition     = var.existing_cluster == null ? true : var.cluster.enabled
    error_message = "existing_cluster: is not used with cluster = { enabled = false }. Remove one of the two."
  }
  validation {
    condition     = var.existing_cluster == null ? true : can(regex("^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", var.existing_cluster.name))
    error_message = "existing_cluster: name must be the cluster's name, not a path."
  }
  validation {
    condition     = try(var.existing_cluster.location, null) == null ? true : can(regex("^${var.region}(-[a-z])?$", var.existing_cluster.location))
    error_message = "existing_cluster: location must be ${var.region}, the region of all resources, or one of its zones."
  }
  validation {
    condition     = try(var.existing_cluster.keda_account, null) == null ? true : can(regex("^[a-z0-9-]+@[a-z0-9.-]+\\.gserviceaccount\\.com$", var.existing_cluster.keda_account))
    error_message = "existing_cluster: keda_account must be a service account's email address, or null to install KEDA."
  }
}

variable "gpu_pools" {
  description = "Node pools with GPUs, by name. min_nodes and max_nodes count the nodes of all zones. disk_gb must be large enough for the image and, for pools with gpu_subscriber/k8s/weights, the cache: 200. Each of zones must have the machine type; empty: the cluster's zones. With extended_shutdown, a Spot node gives its pods 105 seconds instead of 15 (GKE 1.35 and later). secondary_boot_disk is a disk image with weights or container images. taints are added to those of GPU and Spot nodes. compute_class is the ComputeClass of gpu_subscriber/k8s/compute_classes that names this pool: only its pods use the nodes."
  type = map(object({
    machine_type          = string
    accelerator           = string
    accelerators_per_node = optional(number, 1)
    spot                  = optional(bool, true)
    zones                 = optional(list(string), [])
    min_nodes             = optional(number, 0)
    max_nodes             = optional(number, 4)
    disk_gb               = optional(number, 100)
    disk_type             = optional(string, "pd-balanced")
    driver                = optional(string, "LATEST")
    extended_shutdown     = optional(bool, false)
    labels                = optional(map(string), {})
    taints                = optional(list(object({ key = string, value = string, effect = string })), [])
    compute_class         = optional(string)
    secondary_boot_disk   = optional(object({ image = string, holds = optional(string, "CONTAINER_IMAGES") }))
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : can(regex("^[a-z][a-z0-9-]{0,30}$", name))])
    error_message = "gpu_pools: names must have 1 to 31 lower-case letters, digits and hyphens and begin with a letter, such as l4-spot."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : pool.min_nodes >= 0 && pool.max_nodes >= 1 && pool.min_nodes <= pool.max_nodes])
    error_message = "gpu_pools: min_nodes must be at least 0 and at most max_nodes, which must be at least 1."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : startswith(pool.accelerator, "nvidia-") && contains([1, 2, 4, 8], pool.accelerators_per_node)])
    error_message = "gpu_pools: accelerator must begin with nvidia-, such as nvidia-l4, and accelerators_per_node must be 1, 2, 4 or 8."
  }
  validation {
    condition = alltrue([for name, pool in var.gpu_pools : startswith(pool.machine_type, "n1-") ?
      contains(lookup(local.gpu_machines.attachable, pool.accelerator, []), pool.accelerators_per_node) : try(
        local.gpu_machines.machines[pool.machine_type].accelerator == pool.accelerator &&
        local.gpu_machines.machines[pool.machine_type].gpus == pool.accelerators_per_node
    , !can(regex("^(a2|a3|g2|g4)-", pool.machine_type)))])
    error_message = "gpu_pools: accelerator and accelerators_per_node must be those of machine_type in gpu_machines.yaml. ${join(" ", [for name, pool in var.gpu_pools : try("${pool.machine_type} has ${local.gpu_machines.machines[pool.machine_type].gpus} ${local.gpu_machines.machines[pool.machine_type].accelerator}.", "")])}"
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : pool.disk_gb >= 50 && contains(["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"], pool.disk_type)])
    error_message = "gpu_pools: disk_gb must be at least 50, and disk_type pd-standard, pd-balanced, pd-ssd or hyperdisk-balanced."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : pool.compute_class == null ? true : can(regex("^[a-z][a-z0-9-]{0,62}$", pool.compute_class))])
    error_message = "gpu_pools: compute_class must have 1 to 63 lower-case letters, digits and hyphens and begin with a letter, such as darkroom-l4."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : contains(["DEFAULT", "LATEST"], pool.driver)])
    error_message = "gpu_pools: driver must be DEFAULT or LATEST."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : pool.spot || !pool.extended_shutdown])
    error_message = "gpu_pools: extended_shutdown is only for Spot nodes; other nodes always give a pod its full grace period."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : alltrue([for zone in pool.zones : startswith(zone, "${var.region}-")])])
    error_message = "gpu_pools: zones must be in the region, such as europe-west4-a in europe-west4."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : alltrue([for taint in pool.taints : contains(["NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE"], taint.effect)])])
    error_message = "gpu_pools: a taint's effect must be NO_SCHEDULE, PREFER_NO_SCHEDULE or NO_EXECUTE."
  }
  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : pool.secondary_boot_disk == null ? true : contains(["CONTAINER_IMAGES", "WEIGHTS"], pool.secondary_boot_disk.holds)])
    error_message = "gpu_pools: secondary_boot_disk.holds must be CONTAINER_IMAGES or WEIGHTS."
  }
}

variable "model_pools" {
  description = "The catalog's models by pool of workers. A pool pulls from the subscription darkroom-tasks-POOL. Each model is in one pool. Models may be added, removed and moved between pools; add a removed or renamed pool to draining_pools."
  type        = map(list(string))
  default     = { demo = ["demo"] }
  nullable    = false

  validation {
    condition     = length(var.model_pools) > 0 && alltrue([for name, models in var.model_pools : can(regex("^[a-z0-9][a-z0-9-]{0,30}$", name)) && length(models) > 0])
    error_message = "model_pools: must have at least one pool. A pool's name has 1 to 31 lower-case letters, digits and hyphens, and each pool has at least one model."
  }
  validation {
    condition     = alltrue([for model in flatten(values(var.model_pools)) : can(regex("^[a-z0-9][a-z0-9._-]{0,62}$", model))])
    error_message = "model_pools: a model's name has lower-case letters, digits, dots, hyphens and underscores, as in the catalog."
  }
  validation {
    condition     = length(flatten(values(var.model_pools))) == length(distinct(flatten(values(var.model_pools))))
    error_message = "model_pools: a model must be in only one pool; otherwise two workers would generate each of its tasks."
  }
  # Pub/Sub drops a message that no subscription's filter matches.
  validation {
    condition     = local.catalog_models == null ? true : length(setsubtract(local.catalog_models, flatten(values(var.model_pools)))) == 0
    error_message = "model_pools: no pool has ${join(", ", try(setsubtract(local.catalog_models, flatten(values(var.model_pools))), []))} of ${coalesce(var.model_catalog_file, "the built-in catalog, which is used while model_catalog_file is null")}: no worker would get their tasks. Add each model to one pool."
  }
  validation {
    condition     = var.model_catalog_file == null ? true : length(setsubtract(flatten(values(var.model_pools)), local.catalog_models)) == 0
    error_message = "model_pools: ${coalesce(var.model_catalog_file, "model_catalog_file")} does not have ${join(", ", try(setsubtract(flatten(values(var.model_pools)), local.catalog_models), []))}: the pool's workers would not start. Add each model to the catalog, or remove it from its pool."
  }
}

variable "weights_job" {
  description = "A Cloud Run job that downloads models of the Hugging Face Hub into the folder models of the weights bucket: the worker's image, and whether it gets the hub's token, for gated models. The token is the latest version of the secret darkroom-hub-token, which is created with the job; add a version before you set hub_token. Null: none."
  type = object({
    image     = string
    hub_token = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.weights_job == null ? true : can(regex("^[a-z0-9.-]+\\.pkg\\.dev/.+[:@].+$", var.weights_job.image))
    error_message = "weights_job: image must be the worker's image in Artifact Registry with a tag or digest, such as REGION-docker.pkg.dev/PROJECT/darkroom/darkroom-worker:BUILD_ID."
  }
}

# Null if api_settings names a catalog that Terraform does not read.
locals {
  gpu_machines = yamldecode(file("${path.module}/gpu_machines.yaml"))
  catalog_models = var.model_catalog_file != null ? try(jsondecode(file(var.model_catalog_file)).models[*].name, []) : (
    contains(keys(var.api_settings), "DARKROOM_MODEL_CATALOG") ? null : ["demo"]
  )
}

# Only a warning, because pools may be created before their catalog.
check "pools_name_models_on_offer" {
  assert {
    condition     = local.catalog_models == null ? true : length(setsubtract(flatten(values(var.model_pools)), local.catalog_models)) == 0
    error_message = "model_pools: ${join(", ", try(setsubtract(flatten(values(var.model_pools)), local.catalog_models), []))} will not be on offer, because the built-in catalog has the model demo only. Set model_catalog_file."
  }
}
