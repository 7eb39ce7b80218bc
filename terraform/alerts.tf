# Alerts. Each alert names its row of docs/operating/runbook.md; a test compares the two.
# The queries are PromQL over darkroom's metrics (docs/operating/observability.md) and Google's own.

resource "google_monitoring_alert_policy" "alerts" {
  for_each = merge(local.queue_alerts, local.task_alerts, local.failure_alerts, local.service_alerts)

  project               = local.project
  display_name          = "darkroom ${var.environment}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = values(google_monitoring_notification_channel.email)[*].id

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = each.value.lasts
      evaluation_interval = "60s"
      # A counter exists only after its first value, which most of these lack when they are created.
      disable_metric_validation = true
    }
  }

  documentation {
    subject   = "darkroom ${var.environment}: ${each.value.title}"
    mime_type = "text/markdown"
    content   = "${each.value.says}\n\nRunbook: docs/operating/runbook.md, **${each.value.runbook}**"
  }

  alert_strategy {
    auto_close           = "86400s"
    notification_prompts = ["OPENED", "CLOSED"]
  }
}

locals {
  # Google's own metrics of the tasks' subscriptions: available even when no darkroom process reports.
  undelivered = "pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\", subscription_id=~\"${local.topics.tasks}-.*\"}"
  oldest_age  = "pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\", subscription_id=~\"${local.topics.tasks}-.*\"}"
  pulled_by   = "\"messaging.destination.subscription.name\""

  queue_alerts = {
    backlog_grows = {
      title    = "The backlog grows"
      severity = "WARNING"
      runbook  = "Queued tasks and idle workers"
      query    = "max by (subscription_id) (${local.undelivered}) > ${var.alert_limits.waiting_tasks} and deriv((max by (subscription_id) (${local.undelivered}))[30m:1m]) > 0"
      lasts    = "900s"
      says     = "For half an hour more was submitted than drawn. Has the pool reached its largest size, or does it get no GPUs?"
    }
    oldest_waits = {
      title    = "A task has waited too long"
      severity = "ERROR"
      runbook  = "Queued tasks and idle workers"
      query    = "max by (subscription_id) (${local.oldest_age}) > ${var.alert_limits.oldest_seconds} or max by (model) ({\"darkroom.queue.oldest_age\"}) > ${var.alert_limits.oldest_seconds}"
      lasts    = "300s"
      says     = "Pub/Sub's oldest message, or the oldest task in Firestore, is older than anybody should have to wait."
    }
    no_worker = {
      title    = "No worker is alive while tasks wait"
      severity = "CRITICAL"
      runbook  = "Wrong number of workers"
      query    = "max by (subscription_id) (${local.undelivered}) > 0 unless on (subscription_id) sum by (subscription_id) (label_replace({\"darkroom.worker.ready\"}, \"subscription_id\", \"$1\", ${local.pulled_by}, \"(.*)\")) > 0"
      lasts    = "1200s" # a node, an image and a model take minutes to start from zero
      says     = "Nobody pulls this subscription. `kubectl -n darkroom get pods,events` says whether pods are missing, pending or failing."
    }
    waits_long = {
      title    = "Tasks wait long for a worker"
      severity = "WARNING"
      runbook  = "Queued tasks and idle workers"
      query    = "histogram_quantile(0.95, sum by (le, model) (rate({\"darkroom.queue.duration_bucket\", lane=\"interactive\"}[30m]))) > ${var.alert_limits.oldest_seconds}"
      lasts    = "900s"
      says     = "One in twenty of those whose callers wait for them was claimed only after this time."
    }
    never_enqueued = {
      title    = "Submissions are not confirmed by Pub/Sub"
      severity = "ERROR"
      runbook  = "Tasks without a publish confirmation"
      query    = "sum(increase({\"darkroom.tasks.rescued\", verdict=\"never_enqueued\"}[15m])) > 5 or sum(increase({\"messaging.client.sent.messages\", \"error.type\"!=\"\"}[15m])) > 5"
      lasts    = "0s"
      says     = "The API could not publish, or died before it did. Rescue publishes for it."
    }
    message_lost = {
      title    = "Messages went missing"
      severity = "ERROR"
      runbook  = "Queued tasks and idle workers"
      query    = "sum(increase({\"darkroom.tasks.rescued\", verdict=\"message_lost\"}[1h])) > 0"
      lasts    = "0s"
      says     = "A task was confirmed an hour ago and nobody took it: no worker, or a message that Pub/Sub lost."
    }
    dead_letters = {
      title    = "There are dead letters"
      severity = "ERROR"
      runbook  = "`dead_lettered`"
      query    = "max({\"darkroom.dead_letters.kept\"}) > 0 or sum(increase({\"darkroom.dead_letters.archived\"}[15m])) > 0 or sum(increase(pubsub_googleapis_com:subscription_dead_letter_message_count{monitored_resource=\"pubsub_subscription\"}[15m])) > 0"
      lasts    = "0s"
      says     = "A message could not be read, or was delivered as often as it may. It stays open until they are replayed or purged."
    }
    callers_refused = {
      title    = "Callers are refused for want of room"
      severity = "WARNING"
      runbook  = "Responses 429"
      query    = "sum(rate({\"http.server.request.duration_count\", \"http.response.status_code\"=\"429\"}[10m])) > 0.1 * sum(rate({\"http.server.request.duration_count\"}[10m]))"
      lasts    = "600s"
      says     = "More than a tenth of all requests meet a quota, a full queue or no place to wait at."
    }
  }

  task_alerts = {
    tasks_fail = {
      title    = "Tasks fail"
      severity = "ERROR"
      runbook  = "`attempts_exhausted`"
      query    = "sum(increase({\"darkroom.tasks.finished\", status=\"failed\"}[30m])) > ${var.alert_limits.failed_share} * sum(increase({\"darkroom.tasks.finished\", status!=\"cancelled\"}[30m])) and sum(increase({\"darkroom.tasks.finished\", status=\"failed\"}[30m])) > 3"
      lasts    = "300s"
      says     = "More than a share of ${var.alert_limits.failed_share} of the tasks that ended within half an hour have failed; `error.type` says as what."
    }
    attempts_exhausted = {
      title    = "Tasks use up all their attempts"
      severity = "ERROR"
      runbook  = "`attempts_exhausted`"
      query    = "sum by (model) (increase({\"darkroom.tasks.finished\", \"error.type\"=\"attempts_exhausted\"}[30m])) > 0 or sum(increase({\"darkroom.tasks.rescued\", verdict=\"attempts_exhausted\"}[30m])) > 0"
      lasts    = "0s"
      says     = "Every attempt ended without a word: the task probably kills its worker."
    }
    gave_up_waiting = {
      title    = "Tasks are given up before a worker came"
      severity = "ERROR"
      runbook  = "`deadline_exceeded`"
      query    = "sum(increase({\"darkroom.tasks.rescued\", verdict=~\"deadline_exceeded|unclaimed\"}[30m])) > 0"
      lasts    = "0s"
      says     = "No worker came before their callers' deadline, or for days."
    }
    claims_die = {
      title    = "Workers lose their tasks"
      severity = "WARNING"
      runbook  = "Processing tasks without updates"
      query    = "sum(increase({\"darkroom.tasks.rescued\", verdict=\"claim_expired\"}[30m])) > 5 or sum(increase({\"darkroom.claims.lost\"}[30m])) > 5 or sum(increase({\"darkroom.leases.lost\"}[30m])) > 20"
      lasts    = "0s"
      says     = "Claims or leases are lost more often than Spot nodes are taken away: workers die, stall or are cut off."
    }
    seconds_wasted = {
      title    = "GPU seconds are wasted"
      severity = "WARNING"
      runbook  = "Refused checkpoints"
      query    = "sum(rate({\"darkroom.gpu.time\", use=\"wasted\"}[1h])) > ${var.alert_limits.wasted_share} * sum(rate({\"darkroom.gpu.time\"}[1h]))"
      lasts    = "1800s"
      says     = "More than a share of ${var.alert_limits.wasted_share} of what was drawn within an hour was drawn for nothing."
    }
    checkpoints_refused = {
      title    = "Checkpoints do not fit"
      severity = "WARNING"
      runbook  = "Refused checkpoints"
      query    = "sum by (model) (increase({\"darkroom.checkpoints.refused\"}[1h])) > 10"
      lasts    = "0s"
      says     = "After a roll-out that is as it should be; again and again it points at the bucket."
    }
  }

  # By code of engine failure: title, and the limit of failed attempts within a quarter of an hour.
  failure_codes = {
    engine_crashed       = { title = "Engines crash", limit = 2, severity = "ERROR" }
    engine_out_of_memory = { title = "Engines run out of main memory", limit = 2, severity = "ERROR" }
    device_lost          = { title = "GPUs are lost", limit = 1, severity = "ERROR" }
    engine_hung          = { title = "Engines hang", limit = 1, severity = "ERROR" }
    out_of_gpu_memory    = { title = "Images do not fit into GPU memory", limit = 2, severity = "WARNING" }
    invalid_output       = { title = "Pictures are not finite", limit = 2, severity = "WARNING" }
    attempt_timed_out    = { title = "Drawing takes too long", limit = 2, severity = "WARNING" }
    model_unavailable    = { title = "A model cannot be loaded", limit = 0, severity = "CRITICAL" }
  }
  failure_alerts = {
    for code, alert in local.failure_codes : code => {
      title    = alert.title
      severity = alert.severity
      runbook  = "`${code}`"
      query    = "sum by (model) (increase({\"darkroom.attempts.finished\", \"error.type\"=\"${code}\"}[15m])) > ${alert.limit}"
      lasts    = "0s"
      says     = "Attempts ended as `${code}`. The worker has done about it what it can."
    }
  }

  errors   = "sum(rate(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\", service_name=\"${local.api_name}\", response_code_class=\"5xx\"}[%s]))"
  requests = "sum(rate(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\", service_name=\"${local.api_name}\"}[%s]))"
  budget   = 1 - var.alert_limits.availability
  # Burn rates of the month's error budget, over a long window, and a short one that shows whether it still burns. The
  # factors spend 2 % of it in an hour and 5 % in six.
  burn_rates = {
    fast = { factor = 14.4, long = "1h", short = "5m", severity = "CRITICAL" }
    slow = { factor = 6, long = "6h", short = "30m", severity = "ERROR" }
  }
  service_alerts = merge(
    {
      for pace, burn in local.burn_rates : "availability_burns_${pace}" => {
        title    = "The API's error budget burns ${pace}"
        severity = burn.severity
        runbook  = "`dependency_unavailable`"
        query    = join(" and ", [for window in [burn.long, burn.short] : "${format(local.errors, window)} / ${format(local.requests, window)} > ${format("%.4f", burn.factor * local.budget)}"])
        lasts    = "0s"
        says     = "The objective is ${format("%.2f", 100 * var.alert_limits.availability)} % of all requests without a 5xx; at this pace the month's allowance is soon gone."
      }
    },
    {
      tasks_burn = {
        title    = "The tasks' error budget burns"
        severity = "ERROR"
        runbook  = "`attempts_exhausted`"
        query    = join(" and ", [for window in ["6h", "30m"] : "sum(rate({\"darkroom.tasks.finished\", status=\"failed\"}[${window}])) / sum(rate({\"darkroom.tasks.finished\", status!=\"cancelled\"}[${window}])) > ${format("%.4f", 6 * local.budget)}"])
        lasts    = "0s"
        says     = "The objective is ${format("%.2f", 100 * var.alert_limits.availability)} % of all tasks completed."
      }
      dependency_away = {
        title    = "Firestore or Pub/Sub does not answer"
        severity = "CRITICAL"
        runbook  = "`dependency_unavailable`"
        query    = "sum(increase({\"http.server.request.duration_count\", \"http.response.status_code\"=\"503\"}[10m])) > 10"
        lasts    = "0s"
        says     = "The answers' `detail` names which one. Nothing that was accepted is lost."
      }
      rescue_is_silent = {
        title    = "Rescue does not run"
        severity = "ERROR"
        runbook  = "`rescue_running`"
        query    = "(sum(increase({\"http.server.request.duration_count\", \"http.route\"=\"/internal/rescue\", \"http.response.status_code\"=\"200\"}[15m])) or vector(0)) < 1"
        lasts    = "600s"
        says     = "For a quarter of an hour no round ended well, though the scheduler asks for one each minute."
      }
      nothing_is_removed = {
        title    = "What has expired is not removed"
        severity = "WARNING"
        runbook  = "Expired tasks that are not removed"
        query    = "(sum(increase({\"http.server.request.duration_count\", \"http.route\"=\"/internal/remove-expired\", \"http.response.status_code\"=\"200\"}[3h])) or vector(0)) < 1"
        lasts    = "3600s"
        says     = "For three hours no round ended well, though the scheduler asks for one each hour. Firestore's TTL and the bucket's lifecycle do it later."
      }
      workers_restart = {
        title    = "Workers start again and again"
        severity = "ERROR"
        runbook  = "Workers that exit with 1"
        query    = "sum by (pod_name) (increase(kubernetes_io:container_restart_count{monitored_resource=\"k8s_container\", namespace_name=\"darkroom\", container_name=\"worker\"}[30m])) > 3"
        lasts    = "0s"
        says     = "78 is a configuration that cannot be used, 1 a heartbeat or an engine that cannot be kept alive. `kubectl -n darkroom logs --previous` has the last line."
      }
      webhooks_fail = {
        title    = "Webhooks are not delivered"
        severity = "WARNING"
        runbook  = "Undelivered webhooks"
        query    = "sum(increase({\"darkroom.webhooks.tries\", outcome!=\"delivered\"}[1h])) > 0.5 * sum(increase({\"darkroom.webhooks.tries\"}[1h])) and sum(increase({\"darkroom.webhooks.tries\"}[1h])) > 20"
        lasts    = "1800s"
        says     = "More than half of all tries fail: of one receiver, or of all, in which case the way out is closed."
      }
      gpu_memory_full = {
        title    = "GPU memory is nearly full"
        severity = "WARNING"
        runbook  = "`out_of_gpu_memory`"
        query    = "max by (instance) ({\"hw.gpu.memory.usage\"} / {\"hw.gpu.memory.limit\"}) > 0.97"
        lasts    = "1800s"
        says     = "The next larger batch will be halved, or not fit at all."
      }
    },
    { for name, alert in local.autoscaling_alerts : name => alert if var.cluster.enabled },
  )
  # The autoscaler makes no decision on missing metrics (docs/operating/autoscaling.md), so a missing metric needs an alert.
  autoscaling_alerts = {
    autoscaler_is_blind = {
      title    = "The autoscaler gets no figure"
      severity = "ERROR"
      runbook  = "Wrong number of workers"
      query    = "(sum(increase({\"http.server.request.duration_count\", \"http.route\"=\"/internal/autoscaling\", \"http.response.status_code\"=\"200\"}[15m])) or vector(0)) < 1"
      lasts    = "600s"
      says     = "For a quarter of an hour KEDA was not told how many workers are wanted, though it asks every ten seconds: it is refused, it cannot reach the API, it does not run, or no pool is rolled out yet. Meanwhile no worker is taken away."
    }
  }
}
