# Values that the processes and the local stack share with the deployment.

locals {
  shared = yamldecode(file("${path.module}/../common/shared_values.yaml"))

  topics = local.shared.topics

  keep_tasks_for_days = coalesce(var.keep_tasks_for_days, local.shared.retention.keep_tasks_for_days)
  give_up_after_days  = coalesce(var.give_up_after_days, local.shared.retention.give_up_after_days)
}
