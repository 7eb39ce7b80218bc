"""Values that are written once, as YAML beside this module, and read by Terraform too."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


def read_shared_file(name: str) -> dict[str, Any]:
    """Read `shared_values.yaml` or `alert_rules.yaml`."""
    content: dict[str, Any] = yaml.safe_load(Path(__file__).with_name(name).read_text())
    return content


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Topics(_Section):
    tasks: str
    events: str
    dead_letters: str


class Subscriptions(_Section):
    events_push: str
    dead_letters_push: str
    dead_letters_archive: str


class PubSubLimits(_Section):
    lease_seconds: int
    max_delivery_attempts: int
    retention_seconds: int


class ApiConcurrency(_Section):
    threads: int
    max_waiting: int


class CloudRunLimits(_Section):
    kill_after_seconds: int
    worker_drain_seconds: int


class KubernetesNames(_Section):
    namespace: str
    worker_account: str


class Retention(_Section):
    keep_tasks_for_days: int
    give_up_after_days: int


class AlertLimits(_Section):
    """Alert thresholds."""

    waiting_tasks: int
    oldest_seconds: float
    failed_share: float
    wasted_share: float


class SharedValues(_Section):
    """The content of `shared_values.yaml`."""

    topics: Topics
    subscriptions: Subscriptions
    pubsub: PubSubLimits
    api: ApiConcurrency
    cloud_run: CloudRunLimits
    kubernetes: KubernetesNames
    retention: Retention
    alert_limits: AlertLimits
    tolerated_failures: int


SHARED = SharedValues.model_validate(read_shared_file("shared_values.yaml"))
