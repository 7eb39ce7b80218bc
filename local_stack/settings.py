"""Settings of a stack, and the environment variables that configure the project's programs."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.domain.models.catalog import EMBEDDED_CATALOG, ModelCatalog
from common.settings import SettingsError, read_catalog
from local_stack.emulators.memory_watchdog import DEFAULT_LIMIT_BYTES
from local_stack.errors import ModelCatalogError
from local_stack.provisioning import ResourceNames
from local_stack.worker_pools import WorkerPool, plan_pools

MODEL_CATALOG_VARIABLE = "DARKROOM_MODEL_CATALOG"
MODEL_POOLS_VARIABLE = "DARKROOM_MODEL_POOLS"
MODELS_VARIABLE = "DARKROOM_MODELS"
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
PROJECT_RULES = Path(__file__).resolve().parents[1] / "terraform" / "firestore.rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    data_directory: Path
    port: int | None = None
    """The page's port; None selects a free one."""
    serves_api: bool = True
    workers: int | None = None
    """None starts one worker, or one per part of `worker_models`."""
    worker_models: str | None = None
    """The models of each worker, in the format of WORKER_MODELS; None: every worker serves every
    model.
    """
    worker_module: str = "gpu_subscriber"
    """The module that a worker runs."""
    model_catalog: Path | None = None
    """None selects the catalog of the environment, else the embedded one."""
    writes_traces: bool = False
    """Whether the API and the workers write traces to the data directory."""
    rescue_interval_seconds: float = 10
    export_interval_seconds: float = 60
    firestore_memory_limit_bytes: int = DEFAULT_LIMIT_BYTES
    """The memory of the Firestore emulator at which it is restarted."""
    names: ResourceNames = field(default_factory=ResourceNames)
    rules: Path | None = PROJECT_RULES
    """Firestore's security rules; None gives every client full access to the emulator."""
    java: Path | None = None
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    """For the API and the workers; has the highest priority."""
    caller_environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The environment that the stack was started in; its settings override the stack's defaults."""

    @property
    def catalog_path(self) -> Path | None:
        """The absolute path of the model catalog, because the processes run in another folder."""
        path = self.model_catalog or self._variable(MODEL_CATALOG_VARIABLE)
        return Path(path).absolute() if path else None

    def pools(self) -> tuple[WorkerPool, ...]:
        """Return the pools of workers. Raises ModelCatalogError and WorkerModelsError."""
        path = self.catalog_path
        try:
            catalog = EMBEDDED_CATALOG if path is None else read_catalog(path)
        except SettingsError as error:
            raise ModelCatalogError(str(error)) from error
        _check_sources(catalog)
        given = (self._variable(MODELS_VARIABLE) or "").split(",")
        return plan_pools(
            tuple(spec.name for spec in catalog.models),
            workers=self.workers,
            shares=self.worker_models,
            models=tuple(name.strip() for name in given if name.strip()),
        )

    def _variable(self, name: str) -> str | None:
        return self.extra_environment.get(name) or self.caller_environment.get(name) or None


def _check_sources(catalog: ModelCatalog) -> None:
    """Refuse sources that no worker of this machine can load, before anything starts."""
    for number, spec in enumerate(catalog.models):
        exists = Path(spec.source).exists() if spec.is_single_file else Path(spec.source).is_dir()
        is_hub_id = not spec.is_single_file and _HUB_ID.fullmatch(spec.source)
        if not (spec.is_embedded or exists or is_hub_id):
            raise ModelCatalogError(
                f"{MODEL_CATALOG_VARIABLE}: models/{number}: `source` must be an existing folder or .safetensors "
                f"file, absolute or relative to the catalog file, or a hub id (owner/name); got {spec.source!r}."
            )


LOCAL_DEFAULTS = {
    # The demo model needs a second or two, and writes to an emulator are free, so progress is
    # reported often.
    "DARKROOM_PROGRESS_INTERVAL_SECONDS": "0.25",
    # All callers without credentials; on this machine no caller has any.
    "DARKROOM_OPERATORS": '["local"]',
    # The same at each start, so that a receiver's secret does not change.
    "DARKROOM_WEBHOOK_KEY": "the local stack's own, which is not secret",
    # The emulator pushes one message at a time, so a hanging receiver delays the others (in the
    # local stack only).
    "DARKROOM_WEBHOOK_TIMEOUT_SECONDS": "8",
    "DARKROOM_WEBHOOK_FIRST_PAUSE_SECONDS": "1",
    "DARKROOM_WEBHOOK_LONGEST_PAUSE_SECONDS": "10",
    # All local callers share one user id: the limits only stop a runaway program.
    "DARKROOM_MAX_ACTIVE_TASKS": "100000",
    "DARKROOM_MAX_REQUESTS_PER_MINUTE": "600000",
    "DARKROOM_MAX_SUBMISSIONS_PER_MINUTE": "60000",
    "DARKROOM_MAX_REFUSED_PER_MINUTE": "12000",
    "DARKROOM_MAX_QUEUED_TASKS": "100000",
    "DARKROOM_MAX_WAITING_PER_CALLER": "10000",
    "DARKROOM_MAX_LIST_STREAMS_PER_CALLER": "10000",
    "DARKROOM_METRIC_EXPORTER": "prometheus",
}
"""Settings that differ from the cloud's.

A variable in the caller's environment overrides each of them.
"""


def with_overrides(defaults: Mapping[str, str], caller_environment: Mapping[str, str]) -> dict[str, str]:
    """Return the defaults, each overridden by the caller's variable if set."""
    return {name: caller_environment.get(name, value) for name, value in defaults.items()}


def names_as_environment(names: ResourceNames) -> dict[str, str]:
    """Return the variables that the API and the workers read their settings from."""
    return {
        "GOOGLE_CLOUD_PROJECT": names.project_id,
        "DARKROOM_PROJECT_ID": names.project_id,
        "DARKROOM_TASKS_TOPIC": names.tasks_topic,
        "DARKROOM_EVENTS_TOPIC": names.events_topic,
        "DARKROOM_DEAD_LETTER_TOPIC": names.dead_letter_topic,
        "DARKROOM_IMAGES_BUCKET": names.images_bucket,
    }
