"""ApiSettings: the API's own environment variables, with the prefix `DARKROOM_`."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyAddress, SecretStr

from common.domain.models.catalog import ModelCatalog
from common.settings import SettingsError, SharedSettings
from common.shared_values import SHARED
from frontend_api.autoscaling.policy import TARGET_SECONDS
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.caller_address import TrustedProxies, network_of
from frontend_api.public_address import PublicAddress
from frontend_api.rescue.policy import RescuePolicy
from frontend_api.webhooks.url_policy import PrivateReceivers

_log = structlog.get_logger(__name__)


def _checked_public_url(url: str) -> str:
    PublicAddress.parse(url)
    return url


def _checked_origin(origin: str) -> str:
    if PublicAddress.parse(origin) != PublicAddress(origin=origin):
        raise ValueError("must be scheme and host, in lower case and without a path")
    return origin


def _checked_receivers(entries: tuple[str, ...]) -> tuple[str, ...]:
    PrivateReceivers.parse(entries)
    return entries


def _checked_users(entries: tuple[str, ...]) -> tuple[str, ...]:
    AllowedUsers.parse(entries)
    return entries


class CloudRunWorkers(BaseModel):
    """A worker pool of Cloud Run whose instance count the API sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^projects/[^/]+/locations/[^/]+/workerPools/[^/]+$")
    """Its resource name."""
    models: tuple[str, ...] = Field(min_length=1)
    """The models that its workers serve."""
    min_instances: int = Field(default=0, ge=0)
    max_instances: int = Field(ge=0)
    target_seconds: float = Field(default=TARGET_SECONDS, ge=10, le=3_600)
    """Time within which the pool should finish its tasks."""


class ApiSettings(SharedSettings):
    publish_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a submission waits for Pub/Sub's confirmation before it returns 503."""
    store_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """Timeout of one call to Firestore."""
    keep_tasks_for_days: int = Field(default=SHARED.retention.keep_tasks_for_days, ge=1, le=3_650)
    """How long a finished task is kept."""
    api_threads: int = Field(default=SHARED.api.threads, ge=1, le=1_000)
    """How many requests run at once in one process, besides those that wait for changes; of one caller
    at most an eighth as many."""
    max_waiting: int = Field(default=SHARED.api.max_waiting, ge=0, le=10_000)
    """Waiting callers per process: long polls, event streams, WebSockets."""
    max_waiting_per_caller: int = Field(default=150, ge=0, le=10_000)
    """How many of them may belong to one caller."""
    max_list_streams_per_caller: int = Field(default=20, ge=0, le=10_000)
    """How many of these may be event streams of lists."""
    request_deadline_seconds: float = Field(default=20, gt=0, le=3_600)
    """Time for a request to arrive, from the first byte of its head to the last of its body."""
    max_unfinished_per_caller: int = Field(default=100, ge=1)
    """How many requests from one network address may be arriving in one process.

    Above it, the oldest are dropped.
    """
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    """Number of trusted proxies that append to X-Forwarded-For.

    With 0, the connection's address is the caller's.
    """
    trusted_proxy_addresses: tuple[IPvAnyAddress, ...] = ()
    """Addresses of load balancers that also append their own address (JSON list).

    X-Forwarded-For is read as if they had not.
    """
    stream_heartbeat_seconds: float = Field(default=15, gt=0, le=300)
    """Interval between heartbeats on an idle event stream or WebSocket."""
    openai_silent_seconds: float = Field(default=50, ge=0, le=3_600)
    """How long a response below /openai waits without a byte, so that its status reports the outcome.

    Must be shorter than the idle timeout of every proxy in front of the API.
    """
    openai_wait_seconds: float = Field(default=600, gt=0, le=3_600)
    """How long a request below /openai waits for its images."""
    signing_service_account: str | None = None
    """Signs links to images through IAM; without it the API sends the bytes itself."""
    signed_link_minutes: int = Field(default=60, ge=2, le=7 * 24 * 60)
    keep_dead_letters_for_days: int = Field(default=30, ge=1)
    operators: tuple[str, ...] = ()
    """Operators, who may read the system's state and manage dead letters.

    User ids and emails of service accounts (JSON list); empty by default.
    """
    allowed_users: Annotated[tuple[str, ...], AfterValidator(_checked_users)] = ()
    """Users who may use the service, besides the operators: email addresses and domains (JSON list).

    `["*"]` admits every user who can sign in. The emulators admit every caller.
    """
    alert_waiting_tasks: int = Field(default=SHARED.alert_limits.waiting_tasks, ge=1)
    """Alert threshold: queued tasks of one model, if the number keeps growing."""
    alert_oldest_seconds: float = Field(default=SHARED.alert_limits.oldest_seconds, ge=60)
    """Alert threshold: age of the oldest queued task."""
    alert_failed_share: float = Field(default=SHARED.alert_limits.failed_share, gt=0, lt=1)
    """Alert threshold: share of failed tasks among those that finished within half an hour."""
    alert_wasted_share: float = Field(default=SHARED.alert_limits.wasted_share, gt=0, lt=1)
    """Alert threshold: share of wasted GPU seconds within an hour."""
    refused_words_file: Path | None = None
    """A text file with the words and phrases that no prompt may contain, one per line."""
    max_active_tasks: int = Field(default=500, ge=0)
    """How many tasks of one caller may be queued or processing; 0 means no limit."""
    max_active_gpu_seconds: int = Field(default=0, ge=0)
    """How many GPU seconds these tasks may need, as predicted; 0 means no limit."""
    max_gpu_seconds_per_day: int = Field(default=0, ge=0)
    """How many GPU seconds one caller may use per day in UTC; 0 means no limit."""
    max_requests_per_minute: int = Field(default=6_000, ge=0)
    """How many requests of one caller each process accepts per minute; 0 means no limit."""
    max_submissions_per_minute: int = Field(default=600, ge=0)
    """How many tasks one caller may submit per minute; 0 means no limit."""
    max_refused_per_minute: int = Field(default=120, ge=0)
    """How many submissions of one caller each process rejects for their content per minute.

    Above it, the process rejects all of the caller's submissions unread; 0 means no limit.
    """
    max_input_side: int = Field(default=4_096, ge=64, le=65_535)
    """How many pixels the longer side of an uploaded picture may have."""
    max_input_bytes_per_caller: int = Field(default=1_000_000_000, ge=0)
    """How many bytes all uploaded pictures of one caller may have; 0 means no limit."""
    keep_unused_inputs_hours: float = Field(default=24, gt=0)
    """How long an uploaded picture is kept that no task uses."""
    max_share_days: int = Field(default=30, ge=0, le=365)
    """How long a link to a picture may be valid; 0 means no links, and earlier ones show nothing."""
    max_share_requests_per_minute: int = Field(default=600, ge=0)
    """How many requests for links of one network address each process accepts per minute.

    0 means no limit.
    """
    max_queued_tasks: int = Field(default=20_000, ge=0)
    """How many tasks of all callers may be queued; 0 means no limit."""
    api_key_cache_seconds: float = Field(default=30, ge=0, le=3_600)
    """How long an API key that another instance revoked may still work here."""
    trusted_hosts: tuple[str, ...] = ()
    """Accepted host names, without ports.

    With emulators, this machine's own names are added; otherwise any name is accepted by default.
    """
    public_url: Annotated[str, AfterValidator(_checked_public_url)] | None = None
    """Where callers reach the API, such as `https://example.com/pictures/`.

    The API's links begin with its path. With `trusted_hosts`, its host is accepted, too.
    """
    cors_origins: tuple[Annotated[str, AfterValidator(_checked_origin)], ...] = ()
    """Origins of other sites' pages that may call the API, such as `https://app.example.com`."""
    internal_token: SecretStr | None = None
    """Token of the local stack's scheduler for /internal."""
    internal_audience: str | None = None
    """Audience of the cloud scheduler's OIDC tokens: this service's URL."""
    internal_service_account: str | None = None
    """Service account whose OIDC tokens are accepted at /internal."""
    autoscaling_token: SecretStr | None = Field(default=None, min_length=32)
    """Token of the autoscaler for /internal/autoscaling.

    Without it, the callers of /internal may call it.
    """
    cloud_run_workers: CloudRunWorkers | None = None
    """The worker pool whose instance count follows the demand (JSON), on calls of /internal/scale-workers."""
    firestore_browser_host: str | None = None
    """Firestore emulator's `host:port` for web pages; default FIRESTORE_EMULATOR_HOST."""
    firebase_web_config: dict[str, Any] | None = None
    """The Firebase web app's configuration (JSON), with which the page signs in. Not a secret."""
    webhook_key: SecretStr | None = Field(default=None, min_length=32)
    """Key from which callers' webhook secrets are derived; without it webhooks are not offered.

    Only the API has it.
    """
    webhook_rotation_hours: float = Field(default=24, ge=0)
    """How long a webhook secret stays valid after a rotation."""
    webhook_private_receivers: Annotated[tuple[str, ...], AfterValidator(_checked_receivers)] = ()
    """Networks, addresses and host names of webhook receivers without public addresses.

    Such receivers may use http. Addresses of metadata servers stay refused.
    """
    webhook_timeout_seconds: float = Field(default=15, gt=0, le=45)
    """Timeout of one delivery attempt."""
    webhook_first_pause_seconds: float = Field(default=30, gt=0, le=600)
    """Pause between the first two attempts of a delivery. Later ones double."""
    webhook_longest_pause_seconds: float = Field(default=600, gt=0, le=3_600)
    """Longest pause between two attempts of a delivery."""
    webhooks_at_once: int = Field(default=12, ge=1)
    """Concurrent delivery attempts in one process; each takes one thread. Retries take at most half of them."""
    webhooks_at_once_per_host: int = Field(default=4, ge=1)
    """Of these, to one host name or network address for one caller; for all callers twice as many."""
    webhooks_at_once_per_caller: int = Field(default=6, ge=1)
    """Of these, for the tasks of one caller."""
    rescue_never_enqueued_seconds: float = Field(default=30, ge=0)
    """Rescue publishes a task whose message was not confirmed for this long."""
    rescue_enqueued_seconds: float = Field(default=3_600, ge=1)
    """Rescue publishes a task again that is still queued this long after its message was confirmed.

    The message may be lost.
    """
    rescue_claim_dead_seconds: float = Field(default=60, ge=0)
    """Rescue acts on a claim that expired this long ago; until then, Pub/Sub redelivers."""

    give_up_after_days: int = Field(default=SHARED.retention.give_up_after_days, ge=7)
    """Rescue abandons a task that no worker has taken for this long.

    No caller can set a longer deadline.
    """

    model_pools: dict[str, tuple[str, ...]] | None = None
    """Which models share a pool of workers (JSON: models by pool).

    Each message names its model's pool. A pool's subscription filters by that name, so that its
    filter stays valid when the pool's models change. By default, each model is its own pool.
    """

    @property
    def proxies(self) -> TrustedProxies:
        networks = frozenset(network_of(str(address)) for address in self.trusted_proxy_addresses)
        return TrustedProxies(count=self.trusted_proxies, networks=networks)

    @property
    def rescue_policy(self) -> RescuePolicy:
        return RescuePolicy(
            confirm_within=timedelta(seconds=self.rescue_never_enqueued_seconds),
            deliver_within=timedelta(seconds=self.rescue_enqueued_seconds),
            redeliver_within=timedelta(seconds=self.rescue_claim_dead_seconds),
            give_up_after=timedelta(days=self.give_up_after_days),
        )

    @property
    def public_address(self) -> PublicAddress:
        return PublicAddress() if self.public_url is None else PublicAddress.parse(self.public_url)

    def pool_of_each_model(self) -> Mapping[str, str]:
        """Map each model to its pool; empty without pools.

        Raises SettingsError for a model in two pools.
        """
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
        """Load the offered models: those of the catalog that a pool serves.

        Pub/Sub silently drops the messages of any other model, because no subscription's filter
        matches. The catalog's file may be newer than the pools: a process of an older revision
        reads it when it starts.
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

        The emulators do not authenticate callers and must never be combined with real services.
        """
        emulators = {
            "FIRESTORE_EMULATOR_HOST": self.firestore_emulator_host,
            "PUBSUB_EMULATOR_HOST": self.pubsub_emulator_host,
            "STORAGE_EMULATOR_HOST": self.storage_emulator_host,
        }
        missing = [name for name, host in emulators.items() if not host]
        if missing and (self.uses_emulators or len(missing) < len(emulators)):
            raise SettingsError(f"{', '.join(missing)}: set the hosts of all emulators or of none")
        demo_project = self.project_id.startswith("demo-")
        if self.uses_emulators and not demo_project:
            raise SettingsError(
                "DARKROOM_PROJECT_ID: must start with demo- when emulators are used, because they accept every caller"
            )
        if demo_project and not self.uses_emulators:
            raise SettingsError(
                "DARKROOM_PROJECT_ID: must not start with demo- unless the emulators' hosts are set"
            )
        if self.internal_token is not None and not self.uses_emulators:
            raise SettingsError(
                "DARKROOM_INTERNAL_TOKEN: works with emulators only; set DARKROOM_INTERNAL_SERVICE_ACCOUNT instead"
            )
        if self.internal_token is not None and not self.internal_token.get_secret_value().strip():
            raise SettingsError(
                "DARKROOM_INTERNAL_TOKEN: must not be empty: /internal would accept every caller"
            )
        signs_in_to = (self.firebase_web_config or {}).get("projectId", self.project_id)
        if signs_in_to != self.project_id:
            raise SettingsError(
                f"DARKROOM_FIREBASE_WEB_CONFIG: projectId must be {self.project_id!r}, as DARKROOM_PROJECT_ID "
                f"(got {signs_in_to!r}); the API rejects tokens of other projects"
            )
        if (self.internal_audience is None) != (self.internal_service_account is None):
            raise SettingsError(
                "DARKROOM_INTERNAL_AUDIENCE and DARKROOM_INTERNAL_SERVICE_ACCOUNT: set both or neither"
            )
