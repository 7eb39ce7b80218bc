"""ApiSettings: what the API reads from the environment, prefix `DARKROOM_`, beside what both processes share."""

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import Field, SecretStr

from common.domain.model_catalog import ModelCatalog
from common.settings import SettingsError, SharedSettings

_log = structlog.get_logger(__name__)


class ApiSettings(SharedSettings):
    """The API's own settings."""

    publish_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a submission waits for Pub/Sub's confirmation before it answers 503."""
    store_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long one call to Firestore may take."""
    keep_tasks_for_days: int = Field(default=30, ge=1, le=3_650)
    """How long a task is kept once it has ended."""
    api_threads: int = Field(default=32, ge=1, le=1_000)
    """How many requests are worked on at once in one process, beside those that wait."""
    max_waiting: int = Field(default=600, ge=0, le=10_000)
    """How many callers may wait for a task's changes at once in one process: held answers, event streams, sockets."""
    request_deadline_seconds: float = Field(default=20, gt=0, le=3_600)
    """How long a request may take to arrive, from the first byte of its head to the last of its body."""
    max_unfinished_per_caller: int = Field(default=100, ge=1)
    """How many requests of one network address may be arriving at once in one process; the oldest are given up."""
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    """How many proxies in front append to X-Forwarded-For; without any a caller's address is the connection's."""
    stream_heartbeat_seconds: float = Field(default=15, gt=0, le=300)
    """How long an event stream or a socket is silent before it says that it is alive."""
    signing_service_account: str | None = None
    """Signs links to images, by IAM; without it the API sends the bytes itself."""
    signed_link_minutes: int = Field(default=60, ge=2, le=7 * 24 * 60)
    keep_dead_letters_for_days: int = Field(default=30, ge=1)
    operators: tuple[str, ...] = ()
    """Who may see how everything stands and look after dead letters: user ids and service accounts' emails (JSON list).

    Nobody by default.
    """
    alert_waiting_tasks: int = Field(default=500, ge=1)
    """Operators are told of more tasks of a model waiting than this, if ever more come."""
    alert_oldest_seconds: float = Field(default=900, ge=60)
    """Operators are told of a task that has waited for longer."""
    alert_failed_share: float = Field(default=0.05, gt=0, lt=1)
    """Operators are told when a larger share of the tasks that ended within half an hour has failed."""
    alert_wasted_share: float = Field(default=0.2, gt=0, lt=1)
    """Operators are told when a larger share of an hour's GPU seconds was drawn for nothing."""
    max_active_tasks: int = Field(default=500, ge=0)
    """How many tasks of one caller may be queued or processing; 0 is no limit."""
    max_submissions_per_minute: int = Field(default=600, ge=0)
    """How many tasks one caller may submit in a minute; 0 is no limit."""
    max_refused_per_minute: int = Field(default=120, ge=0)
    """How many submissions of one caller each process refuses for their content in a minute before it refuses all of
    them unread; 0 is no limit."""
    max_queued_tasks: int = Field(default=20_000, ge=0)
    """How many tasks may be queued, of all callers; 0 is no limit."""
    api_key_cache_seconds: float = Field(default=30, ge=0, le=3_600)
    """How long an API key that another instance revoked may go on opening doors here."""
    trusted_hosts: tuple[str, ...] = ()
    """Names that the API answers to, without ports; with emulators beside this machine's own, else any by default."""
    internal_token: SecretStr | None = None
    """What the local stack's scheduler shows at /internal."""
    internal_audience: str | None = None
    """For whom the cloud scheduler's OIDC tokens are made: this service's URL."""
    internal_service_account: str | None = None
    """Whose OIDC tokens open /internal."""
    autoscaling_token: SecretStr | None = Field(default=None, min_length=32)
    """What the autoscaler shows at /internal/autoscaling; without it those who may call the rest of /internal ask."""
    firestore_browser_host: str | None = None
    """Where pages reach Firestore's emulator, `host:port`; without it at FIRESTORE_EMULATOR_HOST."""
    firebase_web_config: dict[str, Any] | None = None
    """The Firebase web app's configuration (JSON), for the page to sign in with. Public by nature."""
    webhook_key: SecretStr | None = Field(default=None, min_length=32)
    """What callers' webhook secrets are made from, known to the API alone; without it no webhooks are on offer."""
    webhook_rotation_hours: float = Field(default=24, ge=0)
    """How long a webhook secret stays valid after a rotation."""
    webhook_timeout_seconds: float = Field(default=15, gt=0, le=45)
    """How long one try may take."""
    webhooks_at_once: int = Field(default=12, ge=1)
    """Tries under way in one process; each takes one of its threads."""
    webhooks_at_once_per_host: int = Field(default=4, ge=1)
    rescue_never_enqueued_seconds: float = Field(default=30, ge=0)
    """Rescue publishes a task whose publish was not confirmed for so long."""
    rescue_enqueued_seconds: float = Field(default=3_600, ge=1)
    """Rescue publishes again what was confirmed so long ago and is still queued: the message may be lost."""
    rescue_claim_dead_seconds: float = Field(default=60, ge=0)
    """Rescue acts on a claim that has been dead for so long; before that Pub/Sub delivers anew by itself."""

    give_up_after_days: int = Field(default=14, ge=7)
    """Rescue gives up a task that no worker has taken for so long; no deadline that a caller may set is longer."""

    model_pools: dict[str, tuple[str, ...]] | None = None
    """Which models share a pool of workers (JSON: models by pool). Each message names its model's pool, and a pool's
    subscription filters by that name, so that its filter outlives any change of its models. By default each model is
    a pool of its own."""

    def pool_of_each_model(self) -> Mapping[str, str]:
        """Map each model to its pool; empty where none are set. Raises SettingsError for a model in two pools."""
        if self.model_pools is None:
            return {}
        pools: dict[str, str] = {}
        for pool, models in self.model_pools.items():
            for model in models:
                if model in pools:
                    raise SettingsError(
                        f"DARKROOM_MODEL_POOLS: model {model!r} is in the pools {pools[model]!r} and {pool!r}; "
                        "a model must be in exactly one pool"
                    )
                pools[model] = pool
        return pools

    def load_catalog(self) -> ModelCatalog:
        """Load the models on offer: those of the catalog that a pool serves.

        Pub/Sub drops the messages of any other model without an error, because no subscription's filter matches. The
        catalog's file may be newer than the pools: a process of an older revision reads it when it starts.
        """
        catalog = super().load_catalog()
        if self.model_pools is None:
            return catalog
        pools = self.pool_of_each_model()
        pooled = tuple(model for model in catalog.models if model.name in pools)
        if not pooled:
            raise SettingsError(
                "DARKROOM_MODEL_POOLS: no pool has a model of the model catalog "
                f"({', '.join(model.name for model in catalog.models)}); add each model to a pool"
            )
        if len(pooled) < len(catalog.models):
            hidden = [model.name for model in catalog.models if model.name not in pools]
            _log.warning("models_in_no_pool", models=hidden)
        return catalog.model_copy(update={"models": pooled})

    def check(self) -> None:
        """Raise SettingsError for a configuration that must not run.

        Where Firestore is the emulator anybody may say who they are; that must never meet anything real.
        """
        emulators = {
            "FIRESTORE_EMULATOR_HOST": self.firestore_emulator_host,
            "PUBSUB_EMULATOR_HOST": self.pubsub_emulator_host,
            "STORAGE_EMULATOR_HOST": self.storage_emulator_host,
        }
        missing = [name for name, host in emulators.items() if not host]
        if missing and (self.uses_emulators or len(missing) < len(emulators)):
            raise SettingsError(f"{', '.join(missing)}: set all the emulators' hosts or none of them")
        demo_project = self.project_id.startswith("demo-")
        if self.uses_emulators and not demo_project:
            raise SettingsError(
                "DARKROOM_PROJECT_ID: the emulators believe every caller; with them the project must be a demo- one"
            )
        if demo_project and not self.uses_emulators:
            raise SettingsError(
                "DARKROOM_PROJECT_ID: demo- projects exist on emulators only, and no emulator's host is set"
            )
        if self.internal_token is not None and not self.uses_emulators:
            raise SettingsError(
                "DARKROOM_INTERNAL_TOKEN: for emulators only; DARKROOM_INTERNAL_SERVICE_ACCOUNT opens /internal"
            )
        if self.internal_token is not None and not self.internal_token.get_secret_value().strip():
            raise SettingsError("DARKROOM_INTERNAL_TOKEN: is empty, and so would open /internal to everybody")
        signs_in_to = (self.firebase_web_config or {}).get("projectId", self.project_id)
        if signs_in_to != self.project_id:
            raise SettingsError(
                f"DARKROOM_FIREBASE_WEB_CONFIG: signs people in to {signs_in_to!r}, and their tokens would all be "
                f"refused: DARKROOM_PROJECT_ID is {self.project_id!r}"
            )
        if (self.internal_audience is None) != (self.internal_service_account is None):
            raise SettingsError(
                "DARKROOM_INTERNAL_AUDIENCE and DARKROOM_INTERNAL_SERVICE_ACCOUNT belong together"
            )
