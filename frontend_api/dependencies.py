"""The packages of the API, built from the ports. Routes get each one from `current(…)`."""

import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial

from common.domain.models.catalog import ModelCatalog
from common.ports import Clock, EventPublisher, TaskStore, WorkerReports
from common.shared_values import AlertLimits
from frontend_api.api_keys.api_keys import ApiKeys
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.autoscaling.demand import ReadFleetDemand
from frontend_api.autoscaling.package import Autoscaling
from frontend_api.autoscaling.ports import DemandHistory
from frontend_api.autoscaling.scale_pool import ManagedPool, ScalePool
from frontend_api.batches.change_tasks import ChangeTasks
from frontend_api.batches.package import Batches
from frontend_api.batches.submit_batch import SubmitBatch
from frontend_api.browser.package import WebPage
from frontend_api.content_policy.ports import ContentPolicy
from frontend_api.dead_letters.archive import ArchiveDeadLetter
from frontend_api.dead_letters.package import DeadLetters
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.dead_letters.replay import ReplayDeadLetter
from frontend_api.estimates.estimator import TaskEstimator
from frontend_api.estimates.package import Estimates
from frontend_api.estimates.workload_cache import WorkloadCache
from frontend_api.fair_queue import FairQueue
from frontend_api.health.readiness import CheckReadiness, Probe
from frontend_api.history.package import History
from frontend_api.history.ports import MinuteHistory
from frontend_api.history.read import ReadHistory
from frontend_api.history.record import RecordMinute, RecordResponses
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.remote_service import RemoteService, outside
from frontend_api.identity.caller_address import TrustedProxies
from frontend_api.identity.ports import Identity
from frontend_api.identity.request_rate import RequestRate
from frontend_api.images.ports import Images
from frontend_api.inputs.delete import DeleteInput, RemoveExpiredInputs
from frontend_api.inputs.package import Inputs
from frontend_api.inputs.ports import InputStore, InputUses, UploadSessions
from frontend_api.inputs.read import ReadInput
from frontend_api.inputs.resumable import ResumableUploads
from frontend_api.inputs.stored_input import InputLimits
from frontend_api.inputs.upload import UploadInput
from frontend_api.inputs.use import UseInputs
from frontend_api.openai_compatibility.package import OpenAICompatibility
from frontend_api.operations.response_counts import ResponseCounts
from frontend_api.operations.status import ReadOperations
from frontend_api.public_address import PublicAddress
from frontend_api.quotas.gpu_seconds import CallersGpuSeconds
from frontend_api.quotas.limits import QuotaLimits
from frontend_api.quotas.quotas import Quotas
from frontend_api.record_seal import RecordSeal
from frontend_api.rescue.lock import RescueLock
from frontend_api.rescue.policy import RescuePolicy
from frontend_api.rescue.rescue import RescueStaleTasks
from frontend_api.shares.package import Sharing
from frontend_api.shares.ports import ShareStore
from frontend_api.shares.shares import Shares
from frontend_api.stats.ports import TaskStats
from frontend_api.stats.queue import ReadQueue
from frontend_api.streams.listed_snapshots import ListedSnapshots
from frontend_api.streams.package import Streams
from frontend_api.streams.ports import TaskChanges
from frontend_api.streams.subscriptions import Subscriptions
from frontend_api.tasks.changes import CancelTask, LabelTask, RetryTask
from frontend_api.tasks.delete import DeleteTask, RemoveExpiredTasks
from frontend_api.tasks.final_events import PublishFinalEvent
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.ports import PromptTokenizers, TaskBatches, TaskQueue
from frontend_api.tasks.publisher import TaskPublisher
from frontend_api.tasks.read import ReadTask
from frontend_api.tasks.rendering import RenderTask
from frontend_api.tasks.submit import SubmitTask
from frontend_api.usage.ports import UsageBook
from frontend_api.usage.usage import GpuPrice, Usage
from frontend_api.webhooks.callback_headers import HeaderCipher
from frontend_api.webhooks.callback_seal import CallbackSeal
from frontend_api.webhooks.deliver import DeliverEvent
from frontend_api.webhooks.delivery_limiter import DeliveryLimiter
from frontend_api.webhooks.package import Webhooks
from frontend_api.webhooks.ports import WebhookLogs, WebhookSender
from frontend_api.webhooks.replay import ReplayDelivery
from frontend_api.webhooks.retry import RetryDeliveries
from frontend_api.webhooks.retry_schedule import RetrySchedule
from frontend_api.webhooks.signing_secrets import SigningSecrets
from frontend_api.webhooks.url_policy import CallbackUrlPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """One field per package. A package with a single use case is that use case."""

    api_keys: ApiKeys
    autoscaling: Autoscaling
    batches: Batches
    browser: WebPage
    dead_letters: DeadLetters
    estimates: Estimates
    health: CheckReadiness
    history: History
    http: ConcurrencyLimiter
    identity: Identity
    images: Images
    inputs: Inputs
    models: ModelCatalog
    openai_compatibility: OpenAICompatibility
    operations: ReadOperations
    quotas: Quotas
    rescue: RescueStaleTasks
    shares: Sharing
    stats: ReadQueue
    streams: Streams
    tasks: Tasks
    usage: Usage
    webhooks: Webhooks

    def __iter__(self) -> Iterator[object]:
        return (getattr(self, field.name) for field in fields(self))


def build_dependencies(
    *,
    catalog: ModelCatalog,
    content_policy: ContentPolicy,
    clock: Clock,
    store: TaskStore,
    task_batches: TaskBatches,
    task_queue: TaskQueue,
    confirmation_writer: Executor,
    gather_confirmations_seconds: float = 0.1,
    task_changes: TaskChanges,
    events: EventPublisher,
    prompt_tokenizers: PromptTokenizers,
    images: Images,
    input_store: InputStore,
    input_uses: InputUses,
    upload_sessions: UploadSessions,
    input_limits: InputLimits,
    stats: TaskStats,
    worker_reports: WorkerReports,
    usage_book: UsageBook,
    gpu_price: GpuPrice | None,
    dead_letters: DeadLetterArchive,
    rescue_lock: RescueLock,
    minute_history: MinuteHistory,
    response_writer: Executor,
    demand_history: DemandHistory,
    managed_pool: ManagedPool | None,
    callback_url_policy: CallbackUrlPolicy,
    webhook_logs: WebhookLogs,
    webhook_sender: WebhookSender,
    webhook_secrets: SigningSecrets,
    webhook_limiter: DeliveryLimiter,
    webhook_schedule: RetrySchedule,
    webhook_retries_at_once: int,
    api_keys: ApiKeyStore,
    shares: ShareStore,
    share_visits: RequestRate,
    identity: Identity,
    probes: tuple[Probe, ...],
    web_page: WebPage,
    address: PublicAddress,
    quota_limits: QuotaLimits,
    alert_limits: AlertLimits,
    max_share_lifetime: timedelta,
    proxies: TrustedProxies,
    rescue_policy: RescuePolicy,
    max_waiting: int,
    max_waiting_per_caller: int,
    max_list_streams_per_caller: int,
    heartbeat_seconds: float,
    openai_silent_seconds: float,
    openai_wait_seconds: float,
    requests_at_once: int,
    keep_for: timedelta,
    keep_dead_letters_for: timedelta,
) -> Dependencies:
    """Build every package, in the order of their dependencies on each other."""
    # Requests compute for much of their time, calls of services wait: see ADRs 11 and 59.
    an_eighth, a_quarter = -(-requests_at_once // 8), -(-requests_at_once // 4)
    gate = ConcurrencyLimiter(at_once=requests_at_once, per_caller=an_eighth, proxies=proxies)
    service = partial(RemoteService, gate=gate, at_once=requests_at_once, per_caller=a_quarter)
    storage, pubsub = service("storage"), service("pubsub")
    images = replace(images, bucket=storage.limited(images.bucket))
    input_store, upload_sessions = storage.limited(input_store), storage.limited(upload_sessions)
    events = pubsub.limited(events)
    publisher = TaskPublisher(
        queue=pubsub.limited(task_queue),
        batches=task_batches,
        writer=confirmation_writer,
        clock=clock,
        gather_seconds=gather_confirmations_seconds,
    )
    header_cipher = HeaderCipher(webhook_key=webhook_secrets.key)
    callback_seal = CallbackSeal(RecordSeal.derived_from(webhook_secrets.key))
    usage = Usage(book=usage_book, price=gpu_price, clock=clock)
    workload_cache = WorkloadCache(catalog=catalog, stats=stats, reports=worker_reports, clock=clock)
    estimator = TaskEstimator(workload_cache=workload_cache, stats=stats, clock=clock)
    quotas = Quotas(
        limits=quota_limits,
        stats=stats,
        gpu_seconds=CallersGpuSeconds(
            catalog=catalog, stats=stats, usage_book=usage_book, per_unit=estimator.gpu_seconds_per_unit
        ),
        requests=identity.request_rate,
        clock=clock,
    )
    render = RenderTask(
        image_links=images.links, estimator=estimator, price=usage.price, base_path=address.base_path
    )
    # A task waits at most until rescue abandons it, and is kept after that.
    inputs = _inputs(
        input_store,
        input_uses,
        upload_sessions,
        input_limits,
        clock,
        keep_for=rescue_policy.give_up_after + keep_for,
    )
    publish_final_event = PublishFinalEvent(store=store, events=events, bill=usage.gpu_cost())
    submit = SubmitTask(
        catalog=catalog,
        content_policy=content_policy,
        store=store,
        clock=clock,
        keep_for=keep_for,
        confirm_within=rescue_policy.confirm_within,
        quotas=quotas,
        callback_url_policy=callback_url_policy,
        header_cipher=header_cipher,
        callback_seal=callback_seal,
        estimator=estimator,
        prompt_tokenizers=prompt_tokenizers,
        publisher=publisher,
        inputs=inputs.use,
    )
    cancel = CancelTask(store=store, publish_final_event=publish_final_event, clock=clock)
    read_queue = ReadQueue(catalog=catalog, stats=stats, clock=clock)
    retry = RetryTask(
        content_policy=content_policy,
        store=store,
        publisher=publisher,
        inputs=inputs.use,
        clock=clock,
        quotas=quotas,
    )
    readiness, response_counts = CheckReadiness(probes=probes, clock=clock), ResponseCounts(clock)
    deliver_event = DeliverEvent(
        store=store,
        logs=webhook_logs,
        sender=outside(gate, webhook_sender),
        secrets=webhook_secrets,
        limiter=webhook_limiter,
        url_policy=callback_url_policy,
        header_cipher=header_cipher,
        callback_seal=callback_seal,
        schedule=webhook_schedule,
        clock=clock,
        body_of=render.webhook_body,
    )
    read_demand = ReadFleetDemand(catalog=catalog, workload_cache=workload_cache, clock=clock)
    return Dependencies(
        api_keys=ApiKeys(store=api_keys, clock=clock),
        autoscaling=Autoscaling(
            read_demand=read_demand,
            scale_pool=None
            if managed_pool is None
            else ScalePool(
                managed=managed_pool, history=demand_history, read_demand=read_demand, clock=clock
            ),
        ),
        batches=Batches(
            submit=SubmitBatch(submit_task=submit, batches=task_batches),
            change=ChangeTasks(store=store, requests=identity.request_rate),
            in_progress=FairQueue(sys.maxsize, per_caller=a_quarter),
        ),
        browser=web_page,
        dead_letters=DeadLetters(
            stored=dead_letters,
            archive=ArchiveDeadLetter(
                archive=dead_letters,
                store=store,
                publish_final_event=publish_final_event,
                clock=clock,
                keep_for=keep_dead_letters_for,
            ),
            replay=ReplayDeadLetter(
                archive=dead_letters,
                store=store,
                publisher=publisher,
                # An operator repairs a failure of the system: the quotas refuse no replay.
                retry_task=replace(retry, is_limited=False),
                clock=clock,
            ),
        ),
        estimates=Estimates(workload_cache=workload_cache, estimator=estimator),
        health=readiness,
        history=History(
            record_minute=RecordMinute(
                history=minute_history, stats=stats, reports=worker_reports, clock=clock
            ),
            responses=RecordResponses(
                counts=response_counts, history=minute_history, writer=response_writer, clock=clock
            ),
            read=ReadHistory(history=minute_history, clock=clock),
        ),
        http=gate,
        identity=identity,
        images=images,
        inputs=inputs,
        models=catalog,
        openai_compatibility=OpenAICompatibility(
            origin=address.origin, silent_seconds=openai_silent_seconds, wait_seconds=openai_wait_seconds
        ),
        operations=ReadOperations(
            read_queue=read_queue,
            workload_cache=workload_cache,
            stats=stats,
            limits=alert_limits,
            readiness=readiness,
            responses=response_counts,
            clock=clock,
        ),
        quotas=quotas,
        rescue=RescueStaleTasks(
            store=store,
            publisher=publisher,
            inputs=inputs.use,
            publish_final_event=publish_final_event,
            lock=rescue_lock,
            clock=clock,
            policy=rescue_policy,
        ),
        shares=Sharing(
            shares=Shares(store=shares, tasks=store, clock=clock, max_lifetime=max_share_lifetime),
            visits=share_visits,
            proxies=proxies,
            origin=address.origin,
        ),
        stats=read_queue,
        streams=Streams(
            subscriptions=Subscriptions(
                changes=task_changes,
                limit=max_waiting,
                limit_per_caller=max_waiting_per_caller,
                lists_per_caller=max_list_streams_per_caller,
            ),
            listed_snapshots=ListedSnapshots(render.listed),
            heartbeat_seconds=heartbeat_seconds,
        ),
        tasks=Tasks(
            submit=submit,
            store=store,
            read=ReadTask(store=store),
            cancel=cancel,
            retry=retry,
            label=LabelTask(store=store, clock=clock),
            delete=DeleteTask(
                store=store,
                images=images.bucket,
                inputs=inputs.use,
                shares=shares,
                webhook_logs=webhook_logs,
                cancel_task=cancel,
                clock=clock,
            ),
            remove_expired=RemoveExpiredTasks(
                store=store, images=images.bucket, inputs=inputs.use, webhook_logs=webhook_logs, clock=clock
            ),
            render=render,
        ),
        usage=usage,
        webhooks=Webhooks(
            logs=webhook_logs,
            secrets=webhook_secrets,
            deliver_event=deliver_event,
            retry_deliveries=RetryDeliveries(
                logs=webhook_logs, deliver=deliver_event, clock=clock, at_once=webhook_retries_at_once
            ),
            replay_delivery=ReplayDelivery(
                logs=webhook_logs, events=events, schedule=webhook_schedule, clock=clock
            ),
        ),
    )


def _inputs(
    store: InputStore,
    uses: InputUses,
    sessions: UploadSessions,
    limits: InputLimits,
    clock: Clock,
    *,
    keep_for: timedelta,
) -> Inputs:
    delete = DeleteInput(store=store, uses=uses)
    read = ReadInput(store=store, clock=clock)
    upload = UploadInput(store=store, limits=limits, clock=clock)
    return Inputs(
        store=store,
        limits=limits,
        upload=upload,
        resumable=ResumableUploads(sessions=sessions, upload=upload, read=read, clock=clock),
        read=read,
        delete=delete,
        remove_expired=RemoveExpiredInputs(store=store, delete=delete, clock=clock),
        use=UseInputs(store=store, delete=delete, clock=clock, keep_for=keep_for),
    )
