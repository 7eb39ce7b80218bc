"""The API over fakes: tests inspect or break everything through `api`."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.domain.images import StoredImage, image_object_name
from common.domain.models.catalog import EMBEDDED_CATALOG, ModelCatalog
from common.domain.task import Task
from common.shared_values import SHARED, AlertLimits
from frontend_api.api_keys.authenticator import KeyOrTokenAuthenticator
from frontend_api.api_keys.cache import CachedApiKeys
from frontend_api.app import create_app
from frontend_api.autoscaling.scale_pool import ManagedPool
from frontend_api.browser.origin_check import LOOPBACK_NAMES
from frontend_api.browser.package import WebPage
from frontend_api.content_policy.ports import ContentPolicy
from frontend_api.content_policy.word_list import WordList
from frontend_api.dependencies import build_dependencies
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.caller_address import TrustedProxies
from frontend_api.identity.emulator_tokens import (
    EmulatorAuthenticator,
    InternalToken,
    NamedOperators,
    unsigned_token,
)
from frontend_api.identity.ports import Authenticator, Identity
from frontend_api.identity.request_rate import RequestRate
from frontend_api.images.ports import Images
from frontend_api.inputs.stored_input import InputLimits
from frontend_api.public_address import PublicAddress
from frontend_api.quotas.limits import QuotaLimits
from frontend_api.rescue.policy import RescuePolicy
from frontend_api.usage.usage import GpuPrice
from frontend_api.webhooks.delivery_limiter import DeliveryLimiter
from frontend_api.webhooks.retry_schedule import RetrySchedule
from frontend_api.webhooks.signing_secrets import SigningSecrets
from frontend_api.webhooks.url_policy import CallbackUrlPolicy
from tests.factories import claim_of, submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_image_links import FakeImageLinks
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.immediate_executor import ImmediateExecutor
from tests.fakes.in_memory_api_keys import InMemoryApiKeys
from tests.fakes.in_memory_dead_letter_archive import InMemoryDeadLetterArchive
from tests.fakes.in_memory_image_bucket import InMemoryImageBucket
from tests.fakes.in_memory_input_store import InMemoryInputStore, InMemoryInputUses
from tests.fakes.in_memory_minute_history import InMemoryMinuteHistory
from tests.fakes.in_memory_rescue_lock import InMemoryRescueLock
from tests.fakes.in_memory_secret_rotations import InMemorySecretRotations
from tests.fakes.in_memory_shares import InMemoryShares
from tests.fakes.in_memory_task_batches import InMemoryTaskBatches
from tests.fakes.in_memory_task_changes import InMemoryTaskChanges
from tests.fakes.in_memory_task_queue import InMemoryTaskQueue
from tests.fakes.in_memory_task_stats import InMemoryTaskStats
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.in_memory_upload_sessions import InMemoryUploadSessions
from tests.fakes.in_memory_usage_book import InMemoryUsageBook
from tests.fakes.in_memory_webhook_logs import InMemoryWebhookLogs
from tests.fakes.in_memory_worker_pool import InMemoryDemandHistory
from tests.fakes.in_memory_worker_reports import InMemoryWorkerReports
from tests.fakes.recording_publishers import RecordingEventPublisher
from tests.fakes.scripted_webhook_sender import ScriptedWebhookSender
from tests.fakes.word_tokenizers import WordTokenizers

PROJECT = "demo-unit"
API_KEYS_KNOWN_FOR = timedelta(seconds=30)
INTERNAL_TOKEN = "known to the scheduler only"
AUTOSCALING_TOKEN = "known to the autoscaler only"
INPUT_LIMITS = InputLimits(
    bytes_each=5_000_000, side=512, pixels=100_000, bytes_per_owner=0, unused_for=timedelta(days=1)
)
PNG = b"\x89PNG, as far as these tests go"


@dataclass
class Api:
    """The application and every fake behind it."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    store: InMemoryTaskStore = field(default_factory=InMemoryTaskStore)
    queue: InMemoryTaskQueue = field(default_factory=InMemoryTaskQueue)
    events: RecordingEventPublisher = field(default_factory=RecordingEventPublisher)
    images: InMemoryImageBucket = field(default_factory=InMemoryImageBucket)
    inputs: InMemoryInputStore = field(default_factory=InMemoryInputStore)
    dead_letters: InMemoryDeadLetterArchive = field(default_factory=InMemoryDeadLetterArchive)
    api_keys: InMemoryApiKeys = field(default_factory=InMemoryApiKeys)
    shares: InMemoryShares = field(default_factory=InMemoryShares)
    links: FakeImageLinks = field(default_factory=FakeImageLinks)
    rescue_lock: InMemoryRescueLock = field(default_factory=InMemoryRescueLock)
    demand_history: InMemoryDemandHistory = field(default_factory=InMemoryDemandHistory)
    minute_history: InMemoryMinuteHistory = field(default_factory=InMemoryMinuteHistory)
    managed_pool: ManagedPool | None = None
    reports: InMemoryWorkerReports = field(default_factory=InMemoryWorkerReports)
    webhook_logs: InMemoryWebhookLogs = field(default_factory=InMemoryWebhookLogs)
    receiver: ScriptedWebhookSender = field(default_factory=ScriptedWebhookSender)
    webhook_key: bytes | None = b"known to the API only"
    catalog: ModelCatalog = EMBEDDED_CATALOG
    tokenizers: WordTokenizers = field(default_factory=WordTokenizers)
    quota_limits: QuotaLimits = field(default_factory=QuotaLimits)
    requests_per_minute: int = 0
    share_requests_per_minute: int = 0
    max_share_lifetime: timedelta = timedelta(days=30)
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    content_policy: ContentPolicy = field(default_factory=WordList)
    input_limits: InputLimits = INPUT_LIMITS
    gpu_price: GpuPrice | None = None
    alert_limits: AlertLimits = SHARED.alert_limits
    people: Authenticator = field(default_factory=lambda: EmulatorAuthenticator(project_id=PROJECT))
    allowed: AllowedUsers = field(default_factory=lambda: AllowedUsers(everyone=True))
    probes: tuple[FakeProbe, ...] = (FakeProbe("firestore"), FakeProbe("pubsub"))

    signs_in_at: str | None = None
    address: PublicAddress = field(default_factory=PublicAddress)
    cors_origins: tuple[str, ...] = ()
    max_waiting: int = 3
    max_waiting_per_caller: int = 3
    max_list_streams_per_caller: int = 3
    heartbeat_seconds: float = 30
    openai_silent_seconds: float = 30
    openai_wait_seconds: float = 60
    requests_at_once: int = 8
    background: Executor = field(default_factory=ImmediateExecutor)

    def __post_init__(self) -> None:
        self.upload_sessions = InMemoryUploadSessions(self.clock)
        self.changes = InMemoryTaskChanges(self.store)
        self.probes = tuple(replace(probe) for probe in self.probes)
        self.batches = InMemoryTaskBatches(self.store)
        self.stats = InMemoryTaskStats(self.store, self.dead_letters)
        self.usage_book = InMemoryUsageBook(self.store)
        api_keys = CachedApiKeys(self.api_keys, clock=self.clock, known_for=API_KEYS_KNOWN_FOR)
        authenticator = KeyOrTokenAuthenticator(
            keys=api_keys, others=self.people, clock=self.clock, allowed=self.allowed
        )
        dependencies = build_dependencies(
            catalog=self.catalog,
            content_policy=self.content_policy,
            store=self.store,
            task_batches=self.batches,
            task_queue=self.queue,
            confirmation_writer=self.background,
            gather_confirmations_seconds=0,
            task_changes=self.changes,
            events=self.events,
            images=Images(bucket=self.images, links=self.links),
            input_store=self.inputs,
            input_uses=InMemoryInputUses(self.store),
            upload_sessions=self.upload_sessions,
            input_limits=self.input_limits,
            dead_letters=self.dead_letters,
            rescue_lock=self.rescue_lock,
            demand_history=self.demand_history,
            minute_history=self.minute_history,
            response_writer=self.background,
            managed_pool=self.managed_pool,
            callback_url_policy=CallbackUrlPolicy(is_enabled=self.webhook_key is not None),
            webhook_logs=self.webhook_logs,
            webhook_sender=self.receiver,
            webhook_secrets=SigningSecrets(
                rotations=InMemorySecretRotations(),
                key=self.webhook_key,
                overlap=timedelta(hours=24),
                clock=self.clock,
            ),
            webhook_limiter=DeliveryLimiter(per_host=2, per_caller=4, in_all=4),
            webhook_schedule=RetrySchedule(),
            webhook_retries_at_once=2,
            clock=self.clock,
            quota_limits=self.quota_limits,
            stats=self.stats,
            alert_limits=self.alert_limits,
            worker_reports=self.reports,
            prompt_tokenizers=self.tokenizers,
            usage_book=self.usage_book,
            gpu_price=self.gpu_price,
            api_keys=api_keys,
            shares=self.shares,
            share_visits=RequestRate(limit=self.share_requests_per_minute, clock=self.clock),
            max_share_lifetime=self.max_share_lifetime,
            proxies=self.proxies,
            identity=Identity(
                authenticator=authenticator,
                operators=NamedOperators(names=frozenset({"olga"}), authenticators=(authenticator,)),
                internal_callers=InternalToken(token=INTERNAL_TOKEN),
                autoscaling_callers=InternalToken(token=AUTOSCALING_TOKEN, whose="the autoscaler"),
                request_rate=RequestRate(limit=self.requests_per_minute, clock=self.clock),
            ),
            probes=self.probes,
            web_page=WebPage(
                folder=self.folder, config={"project_id": PROJECT}, signs_in_at=self.signs_in_at
            ),
            address=self.address,
            max_waiting=self.max_waiting,
            max_waiting_per_caller=self.max_waiting_per_caller,
            max_list_streams_per_caller=self.max_list_streams_per_caller,
            heartbeat_seconds=self.heartbeat_seconds,
            openai_silent_seconds=self.openai_silent_seconds,
            openai_wait_seconds=self.openai_wait_seconds,
            requests_at_once=self.requests_at_once,
            keep_for=timedelta(days=30),
            keep_dead_letters_for=timedelta(days=30),
            rescue_policy=RescuePolicy(),
        )
        self.dependencies = dependencies
        self.subscriptions = dependencies.streams.subscriptions
        self.app: Flask = create_app(
            dependencies,
            trusted_hosts=LOOPBACK_NAMES,
            cors_origins=self.cors_origins,
            address=self.address,
        )
        self.client: FlaskClient = self.app.test_client()

    def submit(self, **body: Any) -> TestResponse:
        """POST a small valid submission with these fields changed."""
        return self.client.post("/v1/tasks", json={"prompt": "a large red circle", **body})

    def upload(
        self, picture: bytes, *, content_type: str = "image/png", headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """POST a picture as the body."""
        return self.client.post("/v1/inputs", data=picture, content_type=content_type, headers=headers)

    def rescue(self, **body: Any) -> TestResponse:
        """Call rescue as the scheduler does."""
        return self.call_internal("rescue", body)

    def call_internal(self, endpoint: str, body: Any = None, *, token: str = INTERNAL_TOKEN) -> TestResponse:
        """Call an internal endpoint as the scheduler and Pub/Sub do; on any thread."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.app.test_client().post(f"/internal/{endpoint}", json=body, headers=headers)

    def stored(self, task_id: str) -> Task:
        """Return the task in the store."""
        return self.store.get(task_id)

    def stored_task(self, **changes: Any) -> Task:
        """Store a task of the local user, as the API does."""
        task = submitted_task(**{"user_id": "local", "now": self.clock.now(), **changes})
        return self.store.create(self.dependencies.tasks.submit.callback_seal.on(task))

    def claimed_task(self, **changes: Any) -> Task:
        """Store a task that a worker has claimed for a minute."""
        return self.claim(self.stored_task(**changes))

    def claim(self, task: Task) -> Task:
        """Have a worker claim it for a minute."""
        return self.store.update(
            task.id, lambda t: t.claimed_by("worker-1", self.clock.now(), timedelta(seconds=60))
        )

    def completed_task(self, **changes: Any) -> Task:
        """Store a completed task with one image in the bucket."""
        return self.complete(self.claimed_task(**changes))

    def complete(self, task: Task) -> Task:
        """Have its worker store one image and complete it."""
        image = stored_image(task)
        self.images.objects[image.object_name] = PNG
        return self.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), self.clock.now()))

    def has_taken_nothing(self) -> bool:
        """Whether no task was stored and none published."""
        return not self.store.all_tasks and not self.queue.published


def stored_image(task: Task) -> StoredImage:
    return StoredImage(
        index=0,
        object_name=image_object_name(task.folder, attempt=1, index=0, extension="png"),
        width=256,
        height=256,
        seed=12_345,
        content_type="image/png",
        size_bytes=len(PNG),
        sha256=hashlib.sha256(PNG).hexdigest(),
    )


def signed_in_as(user_id: str) -> dict[str, str]:
    """Return the headers of another user of the local stack."""
    return {"Authorization": f"Bearer {unsigned_token(user_id, project_id=PROJECT)}"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(folder=tmp_path)
    yield api
    api.subscriptions.shut_down()
