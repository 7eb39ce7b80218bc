variable "alert_emails" {
  description = "Who is told when an alert opens. Nobody by default: then alerts stand in the console only."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alert_emails: each must be an e-mail address, such as ops@example.com."
  }
}

variable "alert_limits" {
  description = "When alerts open: so many tasks waiting, so many seconds of the longest wait, these shares of failed tasks and of wasted GPU seconds; and the share of requests and tasks that is to end well each month."
  type = object({
    waiting_tasks  = optional(number, 500)
    oldest_seconds = optional(number, 900)
    failed_share   = optional(number, 0.05)
    wasted_share   = optional(number, 0.2)
    availability   = optional(number, 0.995)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for share in [var.alert_limits.failed_share, var.alert_limits.wasted_share, var.alert_limits.availability] : share > 0 && share < 1])
    error_message = "alert_limits: failed_share, wasted_share and availability are shares between 0 and 1."
  }
  validation {
    condition     = var.alert_limits.waiting_tasks >= 1 && var.alert_limits.oldest_seconds >= 60
    error_message = "alert_limits: waiting_tasks must be at least 1, oldest_seconds at least 60."
  }
}

variable "api" {
  description = "How the API runs on Cloud Run: cores and memory of an instance, how many instances, whether they have their CPU between requests, too (without it what follows an answer waits for the next request: notes that a message was confirmed come late, tasks get a second message, metrics are sparse), and whether callers need no Google identity (they always need darkroom's own credentials). Closed to callers, neither browsers nor KEDA's prediction nor the pipeline's smoke test get in."
  type = object({
    cpu             = optional(string, "1")
    memory          = optional(string, "1Gi")
    min_instances   = optional(number, 0)
    max_instances   = optional(number, 10)
    cpu_always      = optional(bool, true)
    open_to_callers = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api.min_instances >= 0 && var.api.max_instances >= 1 && var.api.min_instances <= var.api.max_instances
    error_message = "api: min_instances must be at least 0 and at most max_instances, which must be at least 1."
  }
  validation {
    condition     = contains(["1", "2", "4", "6", "8"], var.api.cpu)
    error_message = "api: cpu must be 1, 2, 4, 6 or 8, because Cloud Run sends many requests at once to whole cores only."
  }
  validation {
    condition     = can(regex("^([1-9]|[12][0-9]|3[0-2])Gi$", var.api.memory))
    error_message = "api: memory must be from 1Gi to 32Gi, in whole Gi: 632 threads and 600 streams want more than half of one."
  }
}

variable "api_image" {
  description = "The image that the API's first revision runs, until cloudbuild.yaml rolls out the first of darkroom's own. Later changes of this variable change nothing."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"
  nullable    = false
}

variable "api_settings" {
  description = "Further settings of the API, by the names that docs/operating/settings.md lists, such as { DARKROOM_MAX_ACTIVE_TASKS = \"100\" }. What follows from other variables cannot be among them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.api_settings) : can(regex("^(DARKROOM|OTEL)_[A-Z0-9_]+$", name))])
    error_message = "api_settings: names begin with DARKROOM_ or OTEL_, such as DARKROOM_MAX_ACTIVE_TASKS."
  }
}

variable "browser_origins" {
  description = "Further origins whose pages may read images and sign people in, such as https://pictures.example.com. The API's own is always among them."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.browser_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "browser_origins: each must be a scheme and a host and no more, such as https://pictures.example.com: no *, no path, no slash at the end."
  }
}

variable "budget" {
  description = "What a month may cost before people are told, and the billing account that pays. Null: no budget is made."
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

variable "deletion_protection" {
  description = "Whether database, cluster, API and buckets refuse to be destroyed. Turn it off, apply, and only then destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "environment" {
  description = "Which of your environments this is: a label on everything, and what alerts call it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}$", var.environment))
    error_message = "environment: 1 to 16 lower-case letters, digits and hyphens, a letter first, such as dev or prod."
  }
}

variable "firestore_location" {
  description = "Where Firestore lies: a region, or a multi-region such as eur3. It can never be changed. Null: the region."
  type        = string
  default     = null

  validation {
    condition     = var.firestore_location == null ? true : can(regex("^([a-z]+-[a-z]+[0-9]+|eur3|nam5|nam7)$", var.firestore_location))
    error_message = "firestore_location: a region such as europe-west4, or eur3, nam5 or nam7."
  }
}

variable "give_up_after_days" {
  description = "DARKROOM_GIVE_UP_AFTER_DAYS: when rescue gives up a task that no worker has taken. Part of the images' age."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.give_up_after_days >= 7 && floor(var.give_up_after_days) == var.give_up_after_days
    error_message = "give_up_after_days: a whole number of at least 7, because callers may set deadlines that long."
  }
}

variable "keep_tasks_for_days" {
  description = "DARKROOM_KEEP_TASKS_FOR_DAYS: how long a task is kept once it has ended. Part of the images' age."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.keep_tasks_for_days >= 1 && var.keep_tasks_for_days <= 3650 && floor(var.keep_tasks_for_days) == var.keep_tasks_for_days
    error_message = "keep_tasks_for_days: a whole number from 1 to 3650."
  }
}

variable "model_catalog_file" {
  description = "A JSON file with the models on offer, relative to where terraform runs. Null: the demo model that ships with darkroom."
  type        = string
  default     = null

  validation {
    condition     = var.model_catalog_file == null ? true : can(length(jsondecode(file(var.model_catalog_file)).models))
    error_message = "model_catalog_file: must be a JSON file with a list `models`."
  }
}

variable "network_ranges" {
  description = "Private ranges of the network: nodes, pods and services of the cluster, and the API's way out (at least a /26)."
  type = object({
    nodes    = optional(string, "10.64.0.0/20")
    pods     = optional(string, "10.68.0.0/16")
    services = optional(string, "10.65.0.0/20")
    api      = optional(string, "10.66.0.0/24")
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for range in values(var.network_ranges) : can(cidrnetmask(range))])
    error_message = "network_ranges: each must be an IPv4 range, such as 10.64.0.0/20."
  }
  validation {
    condition     = try(tonumber(split("/", var.network_ranges.api)[1]) <= 26, false)
    error_message = "network_ranges: api must be a /26 or larger: each instance of Cloud Run takes an address, two while it is replaced."
  }
}

variable "operators" {
  description = "DARKROOM_OPERATORS: user ids and service accounts' e-mail addresses that may see how everything stands and look after dead letters."
  type        = list(string)
  default     = []
}

variable "outbound_addresses" {
  description = "How many fixed addresses everything leaves by. Each carries some 64,000 connections to one receiver at once."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.outbound_addresses >= 1 && var.outbound_addresses <= 16
    error_message = "outbound_addresses: from 1 to 16."
  }
}

variable "price_currency" {
  description = "DARKROOM_PRICE_CURRENCY: what price_per_gpu_second is in, an ISO 4217 code."
  type        = string
  default     = "USD"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.price_currency))
    error_message = "price_currency: must be an ISO 4217 code, such as USD."
  }
}

variable "price_per_gpu_second" {
  description = "DARKROOM_PRICE_PER_GPU_SECOND: what a useful second of a GPU costs, for callers and for the metrics of what was spent. Null: no prices are told."
  type        = number
  default     = null

  validation {
    condition     = var.price_per_gpu_second == null ? true : var.price_per_gpu_second >= 0
    error_message = "price_per_gpu_second: must not be negative."
  }
}

variable "project_id" {
  description = "The Google Cloud project. It must exist and pay; one darkroom fits into a project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id)) && !startswith(var.project_id, "demo-")
    error_message = "project_id: 6 to 30 lower-case letters, digits and hyphens, a letter first; demo- is for emulators."
  }
}

variable "region" {
  description = "Where everything runs; it must have the GPUs that you want."
  type        = string
  default     = "europe-west4"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: must be a region such as europe-west4, and not a zone."
  }
}

variable "scheduler_region" {
  description = "Where Cloud Scheduler's jobs lie, for regions that have none. Null: the region."
  type        = string
  default     = null
}

variable "secret_versions" {
  description = "Raise a number to replace that secret by a new one. With webhook_key every caller's webhook secret changes at that moment."
  type = object({
    webhook_key       = optional(number, 1)
    autoscaling_token = optional(number, 1)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for version in values(var.secret_versions) : version >= 1 && floor(version) == version])
    error_message = "secret_versions: whole numbers of at least 1, which only ever grow."
  }
}
