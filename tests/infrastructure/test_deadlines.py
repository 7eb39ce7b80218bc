"""The deadlines of the processes and of Terraform's resources fit together, within Google's limits."""

from common.shared_values import SHARED
from frontend_api import gunicorn_conf
from frontend_api.settings import ApiSettings
from frontend_api.tasks.delete import REMOVAL
from frontend_api.webhooks.retry import RUN, TURN
from gpu_subscriber.settings import WorkerSettings
from tests.infrastructure.terraform_files import local, resources, seconds

LONGEST_START_SECONDS = 240
LONGEST_START_WITH_GPU_SECONDS = 1_800
HAND_BACK_SECONDS = 7
LARGEST_MAX_DELIVERY_ATTEMPTS = 100


def test_messages_are_kept_for_a_week_and_subscriptions_do_not_expire() -> None:
    assert SHARED.pubsub.retention_seconds == 7 * 24 * 3_600
    for subscription in resources("google_pubsub_subscription").values():
        assert subscription["message_retention_duration"] == "${local.retention}"
        assert subscription["expiration_policy"] == [{"ttl": ""}]


def test_max_delivery_attempts_is_the_largest_that_pubsub_allows() -> None:
    assert SHARED.pubsub.max_delivery_attempts == LARGEST_MAX_DELIVERY_ATTEMPTS


def test_push_deadline_is_longer_than_a_webhook_delivery() -> None:
    settings = ApiSettings.model_fields
    longest = settings["webhook_timeout_seconds"].default + 4 * settings["store_timeout_seconds"].default
    push = resources("google_pubsub_subscription")["pushes"]
    assert longest < push["ack_deadline_seconds"]


def test_run_of_webhook_retries_ends_within_its_deadline() -> None:
    settings = ApiSettings.model_fields
    last_try = settings["webhook_timeout_seconds"].default + 4 * settings["store_timeout_seconds"].default
    longest = (RUN + TURN).total_seconds() + last_try
    assert longest < seconds(local("scheduler.tf", "clockwork")["darkroom-retry-webhooks"]["deadline"])


def test_removal_of_expired_tasks_leaves_time_for_expired_inputs() -> None:
    deadline = seconds(local("scheduler.tf", "clockwork")["darkroom-remove-expired"]["deadline"])
    assert 2 * REMOVAL.total_seconds() <= deadline


def test_processes_end_before_cloud_run_kills_them() -> None:
    limit = SHARED.cloud_run.kill_after_seconds
    assert gunicorn_conf.graceful_timeout < limit
    assert SHARED.cloud_run.worker_drain_seconds + HAND_BACK_SECONDS <= limit


def test_worker_startup_probe_waits_for_the_engine_to_load() -> None:
    (template,) = resources("google_cloud_run_v2_worker_pool")["workers"]["template"]
    (probe,) = template["containers"][0]["startup_probe"]
    waited = probe["period_seconds"] * probe["failure_threshold"]
    loading = WorkerSettings.model_fields["engine_loading_seconds"].default
    assert loading < waited <= LONGEST_START_WITH_GPU_SECONDS


def test_api_startup_probe_is_within_cloud_runs_limit() -> None:
    (template,) = resources("google_cloud_run_v2_service")["api"]["template"]
    (probe,) = template["containers"][0]["startup_probe"]
    assert probe["period_seconds"] * probe["failure_threshold"] <= LONGEST_START_SECONDS
    assert probe["timeout_seconds"] <= probe["period_seconds"]
