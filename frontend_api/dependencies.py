"""The dependencies of the routes, assembled from ports. A route gets them from `wired()`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from flask import current_app

from common.domain.models.catalog import ModelCatalog
from common.observability.gpu_cost import GpuCost
from common.ports import Clock, EventPublisher, TaskStore, WorkerReports
from frontend_api.api_keys.create import CreateApiKey
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.api_keys.revoke import RevokeApiKey
from frontend_api.autoscaling.demand import ReadFleetDemand
from frontend_api.dead_letters.archive import ArchiveDeadLetter
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.dead_letters.replay import ReplayDeadLetter
from frontend_api.estimates.estimator import TaskEstimator
from frontend_api.estimates.workload_cache import WorkloadCache
from frontend_api.health.ports import Probe
from frontend_api.health.readiness import CheckReadiness
from frontend_api.http.concurrency_limiter import RequestGate
from frontend_api.identity.ports import Authenticator, InternalCallers, Operators
from frontend_api.images.ports import ImageBucket, ImageLinks
from frontend_api.operations.alerts import AlertLimits
from frontend_api.operations.status import ReadOperations
from frontend_api.quotas.quotas import QuotaLimits, Quotas
from frontend_api.rescue.policy import RescuePolicy
from frontend_api.rescue.ports import RescueLock
from frontend_api.rescue.rescue import RescueStaleTasks
from frontend_api.stats.ports import TaskCounts
from frontend_api.stats.queue import ReadQueue
from frontend_api.stats.queue_gauge import QueueGauge
from frontend_api.stats.task_flow import TaskFlow
from frontend_api.streams.ports import TaskChanges
from frontend_api.streams.subscriptions import Subscriptions
from frontend_api.tasks.cancel import CancelTask
from frontend_api.tasks.delete import DeleteTask
from frontend_api.tasks.final_events import PublishFinalEvent
from frontend_api.tasks.list import ListTasks
from frontend_api.tasks.ports import PromptTokenizers, TaskQueue
from frontend_api.tasks.publish_confirmations import PublishConfirmations
from frontend_api.tasks.read import ReadTask
from frontend_api.tasks.remove_expired import RemoveExpiredTasks
from frontend_api.tasks.retry import RetryTask
from frontend_api.tasks.submit import SubmitTask
from frontend_api.tasks.submit_batch import SubmitBatch
from frontend_api.tasks.task_batches import TaskBatches
from frontend_api.usage.ports import UsageBook
from frontend_api.usage.usage import GpuPrice, ReadUsage
from frontend_api.webhooks.assembly import Webhooks
from frontend_api.webhooks.deliver import DeliverEvent
from frontend_api.webhooks.replay import ReplayDelivery
from frontend_api.webhooks.responses import webhook_body

EXTENSION = "darkroom"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """The browser client: the folder of its built files, and the content of `/config.json`.

    `connects_to` are the origins, besides this one, that the page may connect to.
    """

    folder: Path
    config: Mapping[str, Any]
    connects_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Arguments of `create_app`."""

    catalog: ModelCatalog
    clock: Clock
    quotas: Quotas
    read_queue: ReadQueue
    workload_cache: WorkloadCache
    read_operations: ReadOperations
    read_fleet_demand: ReadFleetDemand
    read_usage: ReadUsage
    gpu_price: GpuPrice | None
    estimator: TaskEstimator
    submit_task: SubmitTask
    submit_batch: SubmitBatch
    read_task: ReadTask
    subscriptions: Subscriptions
    list_tasks: ListTasks
    cancel_task: CancelTask
    delete_task: DeleteTask
    retry_task: RetryTask
    rescue_stale_tasks: RescueStaleTasks
    remove_expired_tasks: RemoveExpiredTasks
    archive_dead_letter: ArchiveDeadLetter
    replay_dead_letter: ReplayDeadLetter
    deliver_event: DeliverEvent
    replay_delivery: ReplayDelivery
    webhooks: Webhooks
    dead_letters: DeadLetterArchive
    images: ImageBucket
    image_links: ImageLinks
    api_keys: ApiKeyStore
    create_api_key: CreateApiKey
    revoke_api_key: RevokeApiKey
    authenticator: Authenticator
    internal_callers: InternalCallers
    autoscaling_callers: InternalCallers
    operators: Operators
    check_readiness: CheckReadiness
    web_page: WebPage
    request_gate: RequestGate
    heartbeat_seconds: float
    """Maximum time that a stream of changes stays silent."""


def assembled(
    *,
    catalog: ModelCatalog,
    store: TaskStore,
    task_batches: TaskBatches,
    publish_confirmations: PublishConfirmations,
    task_changes: TaskChanges,
    queue: TaskQueue,
    events: EventPublisher,
    images: ImageBucket,
    image_links: ImageLinks,
    dead_letters: DeadLetterArchive,
    rescue_lock: RescueLock,
    webhooks: Webhooks,
    clock: Clock,
    task_counts: TaskCounts,
    quota_limits: QuotaLimits,
    queue_gauge: QueueGauge,
    task_flow: TaskFlow,
    alert_limits: AlertLimits,
    worker_reports: WorkerReports,
    prompt_tokenizers: PromptTokenizers,
    usage_book: UsageBook,
    gpu_price: GpuPrice | None,
    api_keys: ApiKeyStore,
    authenticator: Authenticator,
    internal_callers: InternalCallers,
    autoscaling_callers: InternalCallers,
    operators: Operators,
    probes: tuple[Probe, ...],
    web_page: WebPage,
    max_waiting: int,
    heartbeat_seconds: float,
    requests_at_once: int,
    keep_for: timedelta,
    keep_dead_letters_for: timedelta,
    rescue_policy: RescuePolicy,
) -> Dependencies:
    """Build the use cases from these ports."""
    quotas = Quotas(limits=quota_limits, counts=task_counts, clock=clock)
    unlimited = Quotas(limits=QuotaLimits(), counts=task_counts, clock=clock)
    bill = GpuCost()
    if gpu_price is not None:
        bill = GpuCost(price_per_second=gpu_price.per_second, currency=gpu_price.currency)
    publish_final_event = PublishFinalEvent(store=store, events=events, bill=bill)
    read_queue = ReadQueue(catalog=catalog, gauge=queue_gauge, clock=clock)
    workload_cache = WorkloadCache(catalog=catalog, gauge=queue_gauge, reports=worker_reports, clock=clock)
    estimator = TaskEstimator(workload_cache=workload_cache, gauge=queue_gauge, clock=clock)
    submit_task = SubmitTask(
        catalog=catalog,
        store=store,
        queue=queue,
        clock=clock,
        keep_for=keep_for,
        quotas=quotas,
        callback_url_policy=webhooks.rules,
        estimator=estimator,
        prompt_tokenizers=prompt_tokenizers,
        publish_confirmations=publish_confirmations,
    )
    cancel_task = CancelTask(store=store, publish_final_event=publish_final_event, clock=clock)
    return Dependencies(
        catalog=catalog,
        clock=clock,
        quotas=quotas,
        read_queue=read_queue,
        workload_cache=workload_cache,
        read_operations=ReadOperations(
            read_queue=read_queue,
            workload_cache=workload_cache,
            flow=task_flow,
            limits=alert_limits,
            clock=clock,
        ),
        read_fleet_demand=ReadFleetDemand(catalog=catalog, workload_cache=workload_cache, clock=clock),
        estimator=estimator,
        read_usage=ReadUsage(book=usage_book),
        gpu_price=gpu_price,
        submit_task=submit_task,
        submit_batch=SubmitBatch(submit_task=submit_task, batches=task_batches),
        read_task=ReadTask(store=store),
        subscriptions=Subscriptions(changes=task_changes, most=max_waiting),
        list_tasks=ListTasks(store=store),
        cancel_task=cancel_task,
        delete_task=DeleteTask(
            store=store, images=images, webhook_logs=webhooks.logs, cancel_task=cancel_task, clock=clock
        ),
        retry_task=RetryTask(store=store, queue=queue, clock=clock, quotas=quotas),
        rescue_stale_tasks=RescueStaleTasks(
            store=store,
            queue=queue,
            publish_final_event=publish_final_event,
            turns=rescue_lock,
            clock=clock,
            policy=rescue_policy,
        ),
        remove_expired_tasks=RemoveExpiredTasks(
            store=store, images=images, webhook_logs=webhooks.logs, clock=clock
        ),
        archive_dead_letter=ArchiveDeadLetter(
            archive=dead_letters,
            store=store,
            publish_final_event=publish_final_event,
            clock=clock,
            keep_for=keep_dead_letters_for,
        ),
        replay_dead_letter=ReplayDeadLetter(
            archive=dead_letters,
            store=store,
            queue=queue,
            # An operator repairs a failure of the system, so the owner's quota does not apply.
            retry_task=RetryTask(store=store, queue=queue, clock=clock, quotas=unlimited),
            clock=clock,
        ),
        deliver_event=DeliverEvent(
            store=store,
            logs=webhooks.logs,
            sender=webhooks.sender,
            secrets=webhooks.secrets,
            slots=webhooks.slots,
            rules=webhooks.rules,
            clock=clock,
            body_of=lambda event, task: webhook_body(event, task, image_links, price=gpu_price),
        ),
        replay_delivery=ReplayDelivery(logs=webhooks.logs, events=events),
        webhooks=webhooks,
        dead_letters=dead_letters,
        images=images,
        image_links=image_links,
        api_keys=api_keys,
        create_api_key=CreateApiKey(keys=api_keys, clock=clock),
        revoke_api_key=RevokeApiKey(keys=api_keys),
        authenticator=authenticator,
        internal_callers=internal_callers,
        autoscaling_callers=autoscaling_callers,
        operators=operators,
        check_readiness=CheckReadiness(probes=probes, clock=clock),
        web_page=web_page,
        request_gate=RequestGate(at_once=requests_at_once),
        heartbeat_seconds=heartbeat_seconds,
    )


def wired() -> Dependencies:
    """Return the dependencies of the current app."""
    return cast("Dependencies", current_app.extensions[EXTENSION])
