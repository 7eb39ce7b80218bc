variable "alert_emails" {
  description = "Addresses that are notified of alerts. None by default: alerts are then only in the console."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alert_emails: each must be an email address, such as ops@example.com."
  }
}

variable "alert_limits" {
  description = "Thresholds of the alerts: queued tasks, age of the oldest queued task in seconds, share of failed tasks, share of wasted GPU seconds; and the monthly objective for the share of successful requests and tasks. The defaults of the first four are in common/shared_values.yaml."
  type = object({
    waiting_tasks  = optional(number)
    oldest_seconds = optional(number)
    failed_share   = optional(number)
    wasted_share   = optional(number)
    availability   = optional(number, 0.995)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for share in [var.alert_limits.failed_share, var.alert_limits.wasted_share, var.alert_limits.availability] : share == null ? true : share > 0 && share < 1])
    error_message = "alert_limits: failed_share, wasted_share and availability must be between 0 and 1."
  }
  validation {
    condition     = coalesce(var.alert_limits.waiting_tasks, 1) >= 1 && coalesce(var.alert_limits.oldest_seconds, 60) >= 60
    error_message = "alert_limits: waiting_tasks must be at least 1, oldest_seconds at least 60."
  }
}

variable "allowed_users" {
  description = "DARKROOM_ALLOWED_USERS: users who may use the service, besides the operators: email addresses, and domains for all of their addresses. [\"*\"] allows everyone with a Google account, at your cost."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([for entry in var.allowed_users : entry == "*" ? length(var.allowed_users) == 1 : (
      can(regex("^[^@\\s\"'\\\\<>&]+@[a-zA-Z0-9.-]+\\.[a-zA-Z]{2,}$", entry)) || can(regex("^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\\.)+[a-zA-Z]{2,}$", entry))
    )])
    error_message = "allowed_users: each must be an email address, such as ada@example.com, or a domain, such as example.com; or only \"*\"."
  }
}

variable "api" {
  description = "The API on Cloud Run: cores and memory of an instance, number of instances, and whether instances have CPU between requests (cpu_always). An instance is one process, which uses little more than one core: more cores are only for more memory. Without cpu_always, work after a response waits for the next request: publish confirmations are stored late, tasks get a second message, and metrics are sparse."
  type = object({
    cpu           = optional(string, "1")
    memory        = optional(string, "1Gi")
    min_instances = optional(number, 0)
    max_instances = optional(number, 10)
    cpu_always    = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api.min_instances >= 0 && var.api.max_instances >= 1 && var.api.min_instances <= var.api.max_instances
    error_message = "api: min_instances must be at least 0 and at most max_instances, which must be at least 1."
  }
  validation {
    condition     = contains(["1", "2", "4", "6", "8"], var.api.cpu)
    error_message = "api: cpu must be 1, 2, 4, 6 or 8, because Cloud Run allows concurrent requests only with whole cores."
  }
  validation {
    condition     = can(regex("^([1-9]|[12][0-9]|3[0-2])Gi$", var.api.memory))
    error_message = "api: memory must be from 1Gi to 32Gi, in whole Gi: 732 requests at once, 600 of them streams, need more than 512Mi."
  }
  # https://cloud.google.com/run/docs/configuring/services/cpu
  validation {
    condition = try(
      tonumber(trimsuffix(var.api.memory, "Gi")) >= { "1" = 1, "2" = 1, "4" = 2, "6" = 4, "8" = 4 }[var.api.cpu] &&
      tonumber(trimsuffix(var.api.memory, "Gi")) <= { "1" = 4, "2" = 8, "4" = 16, "6" = 24, "8" = 32 }[var.api.cpu]
    , true)
    error_message = "api: Cloud Run refuses this memory for this cpu. It allows up to 4Gi with 1 core and 8Gi with 2, 2Gi to 16Gi with 4, 4Gi to 24Gi with 6, and 4Gi to 32Gi with 8."
  }
}

variable "api_image" {
  description = "The image of the API's first revision, until cloudbuild.yaml deploys darkroom's own. Later changes of this variable have no effect."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"
  nullable    = false
}

variable "api_settings" {
  description = "Further settings of the API, listed in docs/operating/settings.md, such as { DARKROOM_MAX_ACTIVE_TASKS = \"100\" }. Settings that Terraform derives from other variables are refused."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.api_settings) : can(regex("^(DARKROOM|OTEL)_[A-Z0-9_]+$", name))])
    error_message = "api_settings: names must begin with DARKROOM_ or OTEL_, such as DARKROOM_MAX_ACTIVE_TASKS."
  }
}

variable "browser_origins" {
  description = "Further origins whose pages may read images and sign users in, such as https://pictures.example.com. The API's own origin is always allowed."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.browser_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "browser_origins: each must consist of a scheme and a host, such as https://pictures.example.com, without *, path or trailing slash."
  }
}

variable "budget" {
  description = "Monthly cost above which notifications are sent, and the billing account. Null: no budget is created."
  type = object({
    billing_account = string
    amount          = number
    currency        = optional(string, "USD")
  })
  default = null

  validation {
    condition     = var.budget == null ? true : can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account))
    error_message = "budget: billing_account must look like 01ABCD-234567-89EFAB."
  }
  validation {
    condition     = var.budget == null ? true : var.budget.amount >= 1 && floor(var.budget.amount) == var.budget.amount
    error_message = "budget: amount must be a whole number of at least 1, in the billing account's currency."
  }
  validation {
    condition     = var.budget == null ? true : can(regex("^[A-Z]{3}$", var.budget.currency))
    error_message = "budget: currency must be an ISO 4217 code, such as USD."
  }
}

variable "build_region" {
  description = "Region in which Cloud Build runs, for projects that may build in some regions only: often us-central1, us-west2, europe-west1, asia-east1, australia-southeast1 or southamerica-east1. Null: the region."
  type        = string
  default     = null

  validation {
    condition     = var.build_region == null ? true : can(regex("^[a-z]+-[a-z]+[0-9]+$", var.build_region))
    error_message = "build_region: must be a region such as europe-west1, not a zone."
  }
}

variable "deletion_protection" {
  description = "Protects the database, cluster, API and buckets from being destroyed. To destroy them, turn it off and apply first."
  type        = bool
  default     = true
  nullable    = false
}

variable "environment" {
  description = "Name of this environment: a label of all resources, and part of the alerts' titles."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}$", var.environment))
    error_message = "environment: must have 1 to 16 lower-case letters, digits and hyphens and begin with a letter, such as dev or prod."
  }
}

variable "firestore_location" {
  description = "Location of Firestore: a region, or a multi-region such as eur3. It cannot be changed later. Null: the region."
  type        = string
  default     = null

  validation {
    condition     = var.firestore_location == null ? true : can(regex("^([a-z]+-[a-z]+[0-9]+|eur3|nam5|nam7)$", var.firestore_location))
    error_message = "firestore_location: must be a region such as europe-west4, or eur3, nam5 or nam7."
  }
}

variable "give_up_after_days" {
  description = "DARKROOM_GIVE_UP_AFTER_DAYS: rescue fails a task that no worker has claimed for this long. Part of the maximum age of images. Null: the default in common/shared_values.yaml."
  type        = number
  default     = null

  validation {
    condition     = var.give_up_after_days == null ? true : var.give_up_after_days >= 7 && floor(var.give_up_after_days) == var.give_up_after_days
    error_message = "give_up_after_days: must be a whole number of at least 7, because callers may set deadlines that long."
  }
}

variable "identity_platform_enabled" {
  description = "Whether Identity Platform was enabled in the project before the first apply: by a darkroom that was destroyed, or in the console. Its configuration is then imported, because it cannot be created twice."
  type        = bool
  default     = false
  nullable    = false
}

variable "keep_tasks_for_days" {
  description = "DARKROOM_KEEP_TASKS_FOR_DAYS: how long a finished task is kept. Part of the maximum age of images. Null: the default in common/shared_values.yaml."
  type        = number
  default     = null

  validation {
    condition     = var.keep_tasks_for_days == null ? true : var.keep_tasks_for_days >= 1 && var.keep_tasks_for_days <= 3650 && floor(var.keep_tasks_for_days) == var.keep_tasks_for_days
    error_message = "keep_tasks_for_days: must be a whole number from 1 to 3650."
  }
}

variable "kms_keys" {
  description = "Keys of Cloud KMS for the buckets (buckets), the database (firestore), the images' repository (registry) and the topics (topics), as projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY. Null: Google's keys. firestore and registry cannot be changed later."
  type = object({
    buckets   = optional(string)
    firestore = optional(string)
    registry  = optional(string)
    topics    = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name, key in var.kms_keys : key == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", key))])
    error_message = "kms_keys: each must be a key's name without a version, such as projects/my-keys/locations/europe-west4/keyRings/darkroom/cryptoKeys/images."
  }
  validation {
    condition     = alltrue([for key in [var.kms_keys.buckets, var.kms_keys.registry] : key == null ? true : strcontains(key, "/locations/${var.region}/")])
    error_message = "kms_keys: buckets and registry must be keys in ${var.region}, where the buckets and the repository are."
  }
  validation {
    condition = var.kms_keys.firestore == null ? true : strcontains(var.kms_keys.firestore, "/locations/${lookup(
      { eur3 = "europe", nam5 = "us", nam7 = "us" }, coalesce(var.firestore_location, var.region), coalesce(var.firestore_location, var.region)
    )}/")
    error_message = "kms_keys: firestore must be a key in the location of the database: ${coalesce(var.firestore_location, var.region)}, which is europe in Cloud KMS for eur3, and us for nam5 and nam7."
  }
  validation {
    condition     = var.kms_keys.topics == null ? true : can(regex("/locations/(global|${var.region})/", var.kms_keys.topics))
    error_message = "kms_keys: topics must be a key in ${var.region}, where the messages are stored, or a global key."
  }
}

variable "model_catalog_file" {
  description = "A JSON file with the model catalog, relative to Terraform's working directory. Null: the demo model that ships with darkroom."
  type        = string
  default     = null

  validation {
    condition     = var.model_catalog_file == null ? true : can(length(jsondecode(file(var.model_catalog_file)).models))
    error_message = "model_catalog_file: must be a JSON file with a list `models`."
  }
}

variable "operators" {
  description = "DARKROOM_OPERATORS: user ids and email addresses of service accounts that may read the system's state and manage dead letters. Operators are allowed users, too."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for operator in var.operators : can(regex("^[A-Za-z0-9._@-]{1,128}$", operator))])
    error_message = "operators: each must be a user id, as the page shows it after sign-in, or a service account's email address."
  }
}

variable "price_currency" {
  description = "DARKROOM_PRICE_CURRENCY: currency of price_per_gpu_second, an ISO 4217 code."
  type        = string
  default     = "USD"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.price_currency))
    error_message = "price_currency: must be an ISO 4217 code, such as USD."
  }
}

variable "price_per_gpu_second" {
  description = "DARKROOM_PRICE_PER_GPU_SECOND: price of a useful GPU second, for callers and for the cost metrics. Null: no prices are shown."
  type        = number
  default     = null

  validation {
    condition     = var.price_per_gpu_second == null ? true : var.price_per_gpu_second >= 0
    error_message = "price_per_gpu_second: must not be negative."
  }
}

variable "project_id" {
  description = "The Google Cloud project. It must exist and have billing enabled. A project can contain one darkroom."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id)) && !startswith(var.project_id, "demo-")
    error_message = "project_id: must have 6 to 30 lower-case letters, digits and hyphens and begin with a letter, but not with demo-, which is for emulators."
  }
}

variable "quotas" {
  description = "GPU time of each caller; 0 is no limit. active_gpu_seconds (DARKROOM_MAX_ACTIVE_GPU_SECONDS): what the queued and processing tasks may need, as predicted. gpu_seconds_per_day (DARKROOM_MAX_GPU_SECONDS_PER_DAY): the budget of a day in UTC."
  type = object({
    active_gpu_seconds  = optional(number, 36000)
    gpu_seconds_per_day = optional(number, 86400)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.quotas) : limit >= 0 && floor(limit) == limit])
    error_message = "quotas: each limit must be a whole number of GPU seconds, or 0 for no limit."
  }
}

variable "region" {
  description = "Region of all resources. It must have the GPUs that you need."
  type        = string
  default     = "europe-west4"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: must be a region such as europe-west4, not a zone."
  }
}

variable "release_trigger" {
  description = "A release for each push to a branch of a repository that is connected to Cloud Build in build_region: its resource name, a regular expression for the branch, the overlays of gpu_subscriber/k8s to roll out, and whether a person must approve each release. The repository must contain gpu_subscriber/k8s/environment, filled in. Null: releases are submitted manually."
  type = object({
    repository     = string
    branch         = optional(string, "^main$")
    overlays       = optional(list(string), ["l4-spot"])
    needs_approval = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.release_trigger == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.release_trigger.repository))
    error_message = "release_trigger: repository must be a resource name of Cloud Build, such as projects/PROJECT/locations/REGION/connections/github/repositories/darkroom."
  }
}

variable "scheduler_region" {
  description = "Region of the Cloud Scheduler jobs, for regions without Cloud Scheduler. Null: the region."
  type        = string
  default     = null

  validation {
    condition     = var.scheduler_region == null ? true : can(regex("^[a-z]+-[a-z]+[0-9]+$", var.scheduler_region))
    error_message = "scheduler_region: must be a region such as europe-west1, not a zone."
  }
}

variable "secret_versions" {
  description = "Raise a number to replace that secret. A new webhook_key changes every caller's webhook secret and invalidates every API key as soon as the traffic is routed to the API's new revision (docs/operating/deploy.md, Changes)."
  type = object({
    webhook_key       = optional(number, 1)
    autoscaling_token = optional(number, 1)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for version in values(var.secret_versions) : version >= 1 && floor(version) == version])
    error_message = "secret_versions: must be whole numbers of at least 1 and may only grow."
  }
}
