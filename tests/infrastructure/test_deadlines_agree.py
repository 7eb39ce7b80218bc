"""Deadlines agree in settings, Terraform, documents and the local stack, within Cloud Run's limits."""

import re
from pathlib import Path

from frontend_api import gunicorn_conf
from frontend_api.settings import ApiSettings
from gpu_subscriber.settings import WorkerSettings
from local_stack import provisioning
from tests.infrastructure.terraform_files import TERRAFORM, local, resources, seconds, text

ROOT = TERRAFORM.parent
CLOUD_RUN_LAST_SECONDS = 10
CLOUD_RUN_LONGEST_START_SECONDS = 240
CLOUD_RUN_LONGEST_START_WITH_GPU_SECONDS = 1_800
GOODBYE_SECONDS = 7


def test_a_lease_is_as_long_as_workers_extend_it() -> None:
    assert local("pubsub.tf", "lease_seconds") == WorkerSettings.model_fields["lease_seconds"].default


def test_messages_are_given_up_as_late_as_on_one_machine() -> None:
    source = Path(provisioning.__file__).read_text()
    assert f'"maxDeliveryAttempts": {local("pubsub.tf", "max_delivery_attempts")}' in source
    assert f"ackDeadlineSeconds={local('pubsub.tf', 'lease_seconds')}" in source


def test_messages_are_kept_for_a_week_and_subscriptions_for_ever() -> None:
    assert local("pubsub.tf", "retention") == "604800s"
    page = " ".join((ROOT / "docs" / "api" / "webhooks.md").read_text().split())
    assert "a week unless the deployment says otherwise" in page
    for subscription in resources("google_pubsub_subscription").values():
        assert subscription["message_retention_duration"] == "${local.retention}"
        assert subscription["expiration_policy"] == [{"ttl": ""}]


def test_a_push_is_waited_for_longer_than_a_webhook_may_take() -> None:
    settings = ApiSettings.model_fields
    longest = settings["webhook_timeout_seconds"].default + 4 * settings["store_timeout_seconds"].default
    push = resources("google_pubsub_subscription")["pushes"]
    assert longest < push["ack_deadline_seconds"]
    assert seconds(push["retry_policy"][0]["minimum_backoff"]) >= 10


def test_both_processes_are_gone_before_cloud_run_kills_them() -> None:
    assert gunicorn_conf.graceful_timeout < CLOUD_RUN_LAST_SECONDS
    (drain,) = re.findall(r'DARKROOM_DRAIN_DEADLINE_SECONDS = "(\d+)"', text("cloud_run_workers.tf"))
    assert int(drain) + GOODBYE_SECONDS <= CLOUD_RUN_LAST_SECONDS


def test_an_engine_may_load_for_as_long_as_the_startup_probe_waits() -> None:
    probe = resources("google_cloud_run_v2_worker_pool")["workers"]["template"][0]["containers"][0][
        "startup_probe"
    ][0]
    waited = probe["period_seconds"] * probe["failure_threshold"]
    loading = WorkerSettings.model_fields["engine_loading_seconds"].default
    assert loading < waited <= CLOUD_RUN_LONGEST_START_WITH_GPU_SECONDS


def test_cloud_run_waits_for_the_api_as_long_as_it_would_for_anybody() -> None:
    template = resources("google_cloud_run_v2_service")["api"]["template"][0]
    probe = template["containers"][0]["startup_probe"][0]
    assert probe["period_seconds"] * probe["failure_threshold"] <= CLOUD_RUN_LONGEST_START_SECONDS
    assert probe["timeout_seconds"] <= probe["period_seconds"]
