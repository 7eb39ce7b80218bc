"""The composition root: settings → adapters → app.

Run by `gunicorn 'frontend_api.wsgi:build_app()'`. Importing this module has no effects. gunicorn
must not preload it: Google's clients do not survive a fork.
"""

import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flask import Flask
from google.cloud.storage import Client as StorageClient

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_clock import FirestoreClock
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.firestore_worker_reports import FirestoreWorkerReports
from common.adapters.grpc_channels import publisher_client
from common.adapters.pubsub_event_publisher import PubSubEventPublisher
from common.adapters.pubsub_topic import PubSubTopic
from common.adapters.system_clock import SystemClock
from common.observability.metrics import FOLLOWERS, gauge
from common.observability.telemetry import configure_telemetry
from common.ports import Clock
from common.settings import SettingsError
from common.shared_values import AlertLimits
from frontend_api.adapters.address_resolver import SystemResolver
from frontend_api.adapters.cloud_run_worker_pool import CloudRunWorkerPool
from frontend_api.adapters.dependency_probes import FirestoreProbe, PubSubProbe
from frontend_api.adapters.firestore.api_keys import FirestoreApiKeys
from frontend_api.adapters.firestore.dead_letter_archive import FirestoreDeadLetterArchive
from frontend_api.adapters.firestore.demand_history import FirestoreDemandHistory
from frontend_api.adapters.firestore.input_uses import FirestoreInputUses
from frontend_api.adapters.firestore.minute_history import FirestoreMinuteHistory
from frontend_api.adapters.firestore.rescue_lock import FirestoreRescueLock
from frontend_api.adapters.firestore.secret_rotations import FirestoreSecretRotations
from frontend_api.adapters.firestore.shares import FirestoreShares
from frontend_api.adapters.firestore.task_batches import FirestoreTaskBatches
from frontend_api.adapters.firestore.task_changes import FirestoreTaskChanges
from frontend_api.adapters.firestore.task_stats import FirestoreTaskStats
from frontend_api.adapters.firestore.usage_book import FirestoreUsageBook
from frontend_api.adapters.firestore.webhook_logs import FirestoreWebhookLogs
from frontend_api.adapters.gcs_image_bucket import GcsImageBucket
from frontend_api.adapters.gcs_image_links import GcsImageLinks, NoImageLinks
from frontend_api.adapters.gcs_input_store import GcsInputStore
from frontend_api.adapters.gcs_upload_sessions import GcsUploadSessions
from frontend_api.adapters.google_tokens import (
    FirebaseAuthenticator,
    OidcCallers,
    ServiceAccountAuthenticator,
)
from frontend_api.adapters.prompt_tokenizers import FilePromptTokenizers, with_prompt_limits
from frontend_api.adapters.pubsub_task_queue import PubSubTaskQueue
from frontend_api.adapters.webhook_sender import PinnedWebhookSender
from frontend_api.api_keys.authenticator import KeyOrTokenAuthenticator
from frontend_api.api_keys.cache import CachedApiKeys
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.app import create_app
from frontend_api.autoscaling.pool_size import PoolLimits
from frontend_api.autoscaling.scale_pool import ManagedPool
from frontend_api.browser.origin_check import LOOPBACK_NAMES
from frontend_api.browser.package import WebPage
from frontend_api.content_policy.ports import ContentPolicy
from frontend_api.content_policy.word_list import WordList, WordListError
from frontend_api.dependencies import Dependencies, build_dependencies
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.emulator_tokens import (
    LOCAL_USER_ID,
    EmulatorAuthenticator,
    InternalToken,
    NamedOperators,
    NoInternalCallers,
    unsigned_token,
)
from frontend_api.identity.ports import Authenticator, Identity, InternalCallers, Operators
from frontend_api.identity.request_rate import RequestRate
from frontend_api.images.ports import ImageLinks, Images
from frontend_api.inputs.stored_input import InputLimits
from frontend_api.quotas.limits import QuotaLimits
from frontend_api.record_seal import RecordSeal
from frontend_api.settings import ApiSettings
from frontend_api.stats.metrics import register_queue_gauges
from frontend_api.usage.usage import GpuPrice
from frontend_api.webhooks.delivery_limiter import AddressLimiter, DeliveryLimiter
from frontend_api.webhooks.retry_schedule import RetrySchedule
from frontend_api.webhooks.signing_secrets import SigningSecrets
from frontend_api.webhooks.url_policy import CallbackUrlPolicy, PrivateReceivers

_PAGE_FOLDER = Path(__file__).parent / "web_client" / "dist"
_BUCKET_ORIGIN = "https://storage.googleapis.com"
_CLOUD_ORIGINS = (
    *("https://firestore.googleapis.com", _BUCKET_ORIGIN),
    # Firebase signs in with these.
    *("https://identitytoolkit.googleapis.com", "https://securetoken.googleapis.com"),
)


def build_app(settings: ApiSettings | None = None) -> Flask:
    """Build the application from the environment. Raises SettingsError."""
    settings = settings or ApiSettings()
    settings.check()
    configure_telemetry(
        settings, process="api", instance_id=f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    )
    dependencies = _dependencies(settings)
    register_queue_gauges(dependencies.stats)
    gauge(FOLLOWERS, lambda: {(): dependencies.streams.subscriptions.waiting})
    return create_app(
        dependencies,
        trusted_hosts=_trusted_hosts(settings),
        cors_origins=settings.cors_origins,
        address=settings.public_address,
    )


def _dependencies(settings: ApiSettings) -> Dependencies:
    firestore = firestore_client(settings.project_id, emulator_host=settings.firestore_emulator_host)
    publisher = publisher_client(emulator_host=settings.pubsub_emulator_host)
    storage = StorageClient(project=settings.project_id)
    clock = FirestoreClock()
    store_timeout, publish_timeout = settings.store_timeout_seconds, settings.publish_timeout_seconds
    webhook_key = None if settings.webhook_key is None else settings.webhook_key.get_secret_value().encode()
    task_batches = FirestoreTaskBatches(firestore, timeout_seconds=store_timeout)
    api_keys = CachedApiKeys(
        FirestoreApiKeys(firestore, seal=RecordSeal.derived_from(webhook_key), timeout_seconds=store_timeout),
        clock=clock,
        known_for=timedelta(seconds=settings.api_key_cache_seconds),
    )
    callback_url_policy = CallbackUrlPolicy(
        is_enabled=webhook_key is not None,
        allows_loopback=settings.uses_emulators,
        private_receivers=PrivateReceivers.parse(settings.webhook_private_receivers),
    )
    catalog = with_prompt_limits(settings.load_catalog())
    return build_dependencies(
        catalog=catalog,
        content_policy=_content_policy(settings),
        clock=clock,
        store=FirestoreTaskStore(firestore, timeout_seconds=store_timeout, clock=clock),
        task_batches=task_batches,
        task_queue=PubSubTaskQueue(
            publisher,
            project_id=settings.project_id,
            topic=settings.tasks_topic,
            images_bucket=settings.images_bucket,
            timeout_seconds=publish_timeout,
            pools=settings.pool_of_each_model(),
        ),
        confirmation_writer=ThreadPoolExecutor(max_workers=1, thread_name_prefix="publish-confirmations"),
        task_changes=FirestoreTaskChanges(firestore),
        events=PubSubEventPublisher(
            PubSubTopic(
                publisher, settings.project_id, settings.events_topic, timeout_seconds=publish_timeout
            )
        ),
        prompt_tokenizers=FilePromptTokenizers(catalog),
        images=Images(
            bucket=GcsImageBucket(storage, bucket=settings.images_bucket),
            links=_image_links(settings, storage),
        ),
        input_store=GcsInputStore(storage, bucket=settings.images_bucket),
        input_uses=FirestoreInputUses(firestore, timeout_seconds=store_timeout),
        upload_sessions=GcsUploadSessions(storage, bucket=settings.images_bucket),
        input_limits=InputLimits(
            bytes_each=settings.max_input_bytes,
            side=settings.max_input_side,
            pixels=settings.max_input_pixels,
            bytes_per_owner=settings.max_input_bytes_per_caller,
            unused_for=timedelta(hours=settings.keep_unused_inputs_hours),
        ),
        stats=FirestoreTaskStats(firestore, timeout_seconds=store_timeout),
        worker_reports=FirestoreWorkerReports(firestore, timeout_seconds=store_timeout),
        usage_book=FirestoreUsageBook(firestore, timeout_seconds=store_timeout),
        gpu_price=_gpu_price(settings),
        dead_letters=FirestoreDeadLetterArchive(firestore, timeout_seconds=store_timeout),
        rescue_lock=FirestoreRescueLock(firestore, timeout_seconds=store_timeout),
        minute_history=FirestoreMinuteHistory(firestore, timeout_seconds=store_timeout),
        response_writer=ThreadPoolExecutor(max_workers=1, thread_name_prefix="response-counts"),
        demand_history=FirestoreDemandHistory(firestore, timeout_seconds=store_timeout),
        managed_pool=_managed_pool(settings),
        callback_url_policy=callback_url_policy,
        webhook_logs=FirestoreWebhookLogs(firestore, timeout_seconds=store_timeout),
        webhook_sender=PinnedWebhookSender(
            url_policy=callback_url_policy,
            addresses_of=SystemResolver(at_once=settings.webhooks_at_once),
            limiter=AddressLimiter(
                per_address=settings.webhooks_at_once_per_host,
                silent_in_all=max(1, settings.webhooks_at_once // 3),
            ),
            timeout_seconds=settings.webhook_timeout_seconds,
            user_agent=f"darkroom/{version('darkroom')}",
        ),
        webhook_secrets=SigningSecrets(
            rotations=FirestoreSecretRotations(firestore, timeout_seconds=store_timeout),
            key=webhook_key,
            overlap=timedelta(hours=settings.webhook_rotation_hours),
            clock=clock,
        ),
        webhook_limiter=DeliveryLimiter(
            per_host=settings.webhooks_at_once_per_host,
            per_caller=settings.webhooks_at_once_per_caller,
            in_all=settings.webhooks_at_once,
        ),
        webhook_schedule=RetrySchedule(
            first_pause=timedelta(seconds=settings.webhook_first_pause_seconds),
            longest_pause=timedelta(seconds=settings.webhook_longest_pause_seconds),
        ),
        webhook_retries_at_once=max(1, settings.webhooks_at_once // 2),
        api_keys=api_keys,
        shares=FirestoreShares(
            firestore, seal=RecordSeal.derived_from(webhook_key), timeout_seconds=store_timeout
        ),
        share_visits=RequestRate(limit=settings.max_share_requests_per_minute, clock=clock),
        identity=_identity(settings, api_keys, clock),
        probes=(
            FirestoreProbe(client=firestore, clock=clock),
            PubSubProbe(
                client=publisher,
                topic_path=publisher.topic_path(settings.project_id, settings.tasks_topic),
            ),
        ),
        web_page=_web_page(settings),
        address=settings.public_address,
        quota_limits=QuotaLimits(
            active_tasks=settings.max_active_tasks,
            active_gpu_seconds=settings.max_active_gpu_seconds,
            daily_gpu_seconds=settings.max_gpu_seconds_per_day,
            submissions_per_minute=settings.max_submissions_per_minute,
            refused_per_minute=settings.max_refused_per_minute,
            queued_tasks=settings.max_queued_tasks,
        ),
        alert_limits=AlertLimits(
            waiting_tasks=settings.alert_waiting_tasks,
            oldest_seconds=settings.alert_oldest_seconds,
            failed_share=settings.alert_failed_share,
            wasted_share=settings.alert_wasted_share,
        ),
        max_share_lifetime=timedelta(days=settings.max_share_days),
        proxies=settings.proxies,
        rescue_policy=settings.rescue_policy,
        max_waiting=settings.max_waiting,
        max_waiting_per_caller=settings.max_waiting_per_caller,
        max_list_streams_per_caller=settings.max_list_streams_per_caller,
        heartbeat_seconds=settings.stream_heartbeat_seconds,
        openai_silent_seconds=settings.openai_silent_seconds,
        openai_wait_seconds=settings.openai_wait_seconds,
        requests_at_once=settings.api_threads,
        keep_for=timedelta(days=settings.keep_tasks_for_days),
        keep_dead_letters_for=timedelta(days=settings.keep_dead_letters_for_days),
    )


def _content_policy(settings: ApiSettings) -> ContentPolicy:
    if settings.refused_words_file is None:
        return WordList()
    try:
        return WordList.read(settings.refused_words_file)
    except WordListError as error:
        raise SettingsError(f"DARKROOM_REFUSED_WORDS_FILE: {error}") from error


def _managed_pool(settings: ApiSettings) -> ManagedPool | None:
    workers = settings.cloud_run_workers
    if workers is None:
        return None
    return ManagedPool(
        name=workers.name.rpartition("/")[2],
        models=workers.models,
        limits=PoolLimits(min_instances=workers.min_instances, max_instances=workers.max_instances),
        workers=CloudRunWorkerPool(workers.name),
        target_seconds=workers.target_seconds,
    )


def _gpu_price(settings: ApiSettings) -> GpuPrice | None:
    per_second = settings.price_per_gpu_second
    return None if per_second is None else GpuPrice(per_second=per_second, currency=settings.price_currency)


def _image_links(settings: ApiSettings, client: StorageClient) -> ImageLinks:
    if settings.uses_emulators or settings.signing_service_account is None:
        return NoImageLinks()
    return GcsImageLinks(
        client,
        bucket=settings.images_bucket,
        service_account=settings.signing_service_account,
        lifetime=timedelta(minutes=settings.signed_link_minutes),
        clock=SystemClock(),  # the client signs by the machine's clock, too
    )


def _identity(settings: ApiSettings, api_keys: ApiKeyStore, clock: Clock) -> Identity:
    allowed = AllowedUsers.parse(settings.allowed_users, operators=settings.operators)
    people: Authenticator = FirebaseAuthenticator(project_id=settings.project_id, allowed=allowed)
    if settings.uses_emulators:
        allowed = AllowedUsers(everyone=True)
        people = EmulatorAuthenticator(project_id=settings.project_id)
    authenticator = KeyOrTokenAuthenticator(keys=api_keys, others=people, clock=clock, allowed=allowed)
    return Identity(
        authenticator=authenticator,
        operators=_operators(settings, authenticator),
        internal_callers=_internal_callers(settings),
        autoscaling_callers=_autoscaling_callers(settings),
        request_rate=RequestRate(limit=settings.max_requests_per_minute, clock=clock),
    )


def _internal_callers(settings: ApiSettings) -> InternalCallers:
    if settings.internal_token is not None:
        return InternalToken(token=settings.internal_token.get_secret_value())
    if settings.internal_audience is not None and settings.internal_service_account is not None:
        accounts = ServiceAccountAuthenticator(audience=settings.internal_audience)
        return OidcCallers(accounts=accounts, service_account=settings.internal_service_account)
    return NoInternalCallers()


def _autoscaling_callers(settings: ApiSettings) -> InternalCallers:
    if settings.autoscaling_token is None:
        return _internal_callers(settings)
    return InternalToken(token=settings.autoscaling_token.get_secret_value(), whose="the autoscaler")


def _operators(settings: ApiSettings, authenticator: Authenticator) -> Operators:
    audience = settings.internal_audience
    accounts = () if audience is None else (ServiceAccountAuthenticator(audience=audience),)
    return NamedOperators(names=frozenset(settings.operators), authenticators=(authenticator, *accounts))


def _web_page(settings: ApiSettings) -> WebPage:
    config: dict[str, Any] = {
        "project_id": settings.project_id,
        "firebase": settings.firebase_web_config,
        "firestore_emulator": None,
        "mock_user_token": None,
        "user_id": None,
        "max_share_days": settings.max_share_days,
    }
    if settings.firestore_emulator_host is None:
        return WebPage(
            folder=_PAGE_FOLDER,
            config=config,
            connects_to=_CLOUD_ORIGINS,
            images_from=(_BUCKET_ORIGIN,),
            signs_in_at=_sign_in_origin(settings),
        )
    emulator = settings.firestore_browser_host or settings.firestore_emulator_host
    host, _, port = emulator.rpartition(":")
    # Browsers open few connections to a host name. On this machine, each page has a name of its own.
    page_hosts = "*.localhost" if host in LOOPBACK_NAMES else None
    own_names = () if page_hosts is None else (f"http://{page_hosts}:{port}",)
    config |= {
        "firebase": None,
        "firestore_emulator": {"host": host, "port": int(port), "page_hosts": page_hosts},
        "mock_user_token": unsigned_token(LOCAL_USER_ID, project_id=settings.project_id),
        "user_id": LOCAL_USER_ID,
    }
    bucket = () if settings.storage_emulator_host is None else (settings.storage_emulator_host,)
    return WebPage(
        folder=_PAGE_FOLDER, config=config, connects_to=(f"http://{emulator}", *own_names, *bucket)
    )


def _sign_in_origin(settings: ApiSettings) -> str | None:
    if settings.firebase_web_config is None:
        return None
    domain = settings.firebase_web_config.get("authDomain", f"{settings.project_id}.firebaseapp.com")
    return f"https://{domain}"


def _trusted_hosts(settings: ApiSettings) -> tuple[str, ...]:
    """With emulators there are no credentials: names other than this machine's must be set."""
    own = LOOPBACK_NAMES if settings.uses_emulators else ()
    accepted = (*own, *settings.trusted_hosts)
    public = settings.public_address.host
    return accepted if public is None or not accepted else (*accepted, public)
