# Networks: a domain and a load balancer for callers, and the network of nodes and outbound traffic.

variable "domain" {
  description = "A host name of your own for the API and the page, such as pictures.example.com, behind a load balancer with a managed certificate. Null: the API has only Cloud Run's run.app URL. requests_per_minute: above it, requests of one address get 429. allowed_countries: countries that may call the API, such as DE, ISO 3166-1; empty: all. keep_run_app_open: whether callers may also use the run.app URL, for the time until the DNS records work; it bypasses both limits."
  type = object({
    name                = string
    requests_per_minute = optional(number, 3000)
    allowed_countries   = optional(list(string), [])
    keep_run_app_open   = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain.name)) && length(var.domain.name) <= 253
    error_message = "domain: name must be a host name in lower case, such as pictures.example.com, without scheme, path, port or final dot."
  }
  validation {
    condition     = var.domain == null ? true : !can(regex("(^|\\.)(run\\.app|web\\.app|firebaseapp\\.com)$", var.domain.name))
    error_message = "domain: name must be in a domain of your own, because Google's certificate requires a DNS record in it."
  }
  validation {
    condition     = var.domain == null ? true : floor(var.domain.requests_per_minute) == var.domain.requests_per_minute && var.domain.requests_per_minute >= 100 && var.domain.requests_per_minute <= 1000000
    error_message = "domain: requests_per_minute must be a whole number from 100 to 1000000: people in one office share an address."
  }
  validation {
    condition     = var.domain == null ? true : alltrue([for country in var.domain.allowed_countries : can(regex("^[A-Z]{2}$", country))])
    error_message = "domain: allowed_countries must be two-letter codes in capitals, such as DE."
  }
}

variable "existing_network" {
  description = "An existing network in place of one of darkroom's own: its name and the names of subnets in the region, for nodes (with the names of the secondary ranges for pods and services; null with existing_cluster or without a cluster) and for the API's outbound traffic (a /26 or larger). Its subnets need Private Google Access and Cloud NAT. project: the host project of a Shared VPC; null: this project."
  type = object({
    project        = optional(string)
    network        = string
    api_subnet     = string
    nodes_subnet   = optional(string)
    pods_range     = optional(string, "pods")
    services_range = optional(string, "services")
  })
  default = null

  validation {
    condition     = var.existing_network == null ? true : try(var.existing_network.project == null, true) || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.existing_network.project))
    error_message = "existing_network: project must be the id of the Shared VPC's host project, or null."
  }
  validation {
    condition = var.existing_network == null ? true : alltrue([
      for name in [var.existing_network.network, var.existing_network.api_subnet, var.existing_network.nodes_subnet, var.existing_network.pods_range, var.existing_network.services_range] :
      name == null ? true : can(regex("^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", name))
    ])
    error_message = "existing_network: must have names, such as shared and shared-nodes, not paths or URLs."
  }
  validation {
    condition     = var.existing_network == null ? true : var.existing_network.nodes_subnet != null || !var.cluster.enabled || var.existing_cluster != null
    error_message = "existing_network: nodes_subnet is missing, which the cluster's nodes need. Set it, or existing_cluster, or cluster = { enabled = false }."
  }
  validation {
    condition     = var.existing_network == null ? true : var.existing_network.pods_range != var.existing_network.services_range
    error_message = "existing_network: pods_range and services_range must be two secondary ranges of nodes_subnet."
  }
}

variable "network_ranges" {
  description = "Private ranges of the network: nodes, pods and services of the cluster, and the API's outbound traffic (at least a /26). Not used with existing_network."
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
  # Two ranges overlap if their first addresses are equal in the larger range's prefix.
  validation {
    condition = try(alltrue([for pair in setproduct(keys(var.network_ranges), keys(var.network_ranges)) : pair[0] == pair[1] || length(distinct([
      for name in pair : cidrhost("${split("/", var.network_ranges[name])[0]}/${min([for range in pair : tonumber(split("/", var.network_ranges[range])[1])]...)}", 0)
    ])) == 2]), true)
    error_message = "network_ranges: the ranges must not overlap."
  }
  validation {
    condition = alltrue([for range in values(var.network_ranges) : anytrue([
      for private in ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"] :
      try(cidrhost("${split("/", range)[0]}/${split("/", private)[1]}", 0) == split("/", private)[0] && tonumber(split("/", range)[1]) >= tonumber(split("/", private)[1]), false)
    ])])
    error_message = "network_ranges: each must be in 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12 or 192.168.0.0/16, which the API's firewall denies."
  }
  validation {
    condition     = try(tonumber(split("/", var.network_ranges.api)[1]) <= 26, false)
    error_message = "network_ranges: api must be a /26 or larger: each Cloud Run instance uses one address, and two while it is replaced."
  }
}

variable "outbound_addresses" {
  description = "Number of fixed addresses for outbound traffic. Each supports about 64,000 simultaneous connections to one receiver. Not used with existing_network."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.outbound_addresses >= 1 && var.outbound_addresses <= 16
    error_message = "outbound_addresses: must be from 1 to 16."
  }
}
