"""The package as one record, built from its ports."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from common.domain.models.catalog import ModelCatalog
from common.ports import Clock, EventPublisher, TaskStore
from frontend_api.estimates.package import Estimates
from frontend_api.images.ports import Images
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.cancel import CancelTask
from frontend_api.tasks.delete import DeleteTask, RemoveExpiredTasks
from frontend_api.tasks.final_events import PublishFinalEvent
from frontend_api.tasks.ports import PromptTokenizers, TaskBatches
from frontend_api.tasks.publisher import TaskPublisher
from frontend_api.tasks.read import ReadTask
from frontend_api.tasks.responses import RenderTask
from frontend_api.tasks.retry import RetryTask
from frontend_api.tasks.submit import SubmitTask
from frontend_api.tasks.submit_batch import SubmitBatch
from frontend_api.usage.usage import Usage
from frontend_api.webhooks.package import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    submit: SubmitTask
    submit_batch: SubmitBatch
    store: TaskStore
    read: ReadTask
    cancel: CancelTask
    retry: RetryTask
    delete: DeleteTask
    remove_expired: RemoveExpiredTasks
    publish_final_event: PublishFinalEvent
    render: RenderTask

    @classmethod
    def build(
        cls,
        *,
        catalog: ModelCatalog,
        store: TaskStore,
        batches: TaskBatches,
        publisher: TaskPublisher,
        events: EventPublisher,
        tokenizers: PromptTokenizers,
        quotas: Quotas,
        estimates: Estimates,
        images: Images,
        usage: Usage,
        webhooks: Webhooks,
        render: RenderTask,
        keep_for: timedelta,
        clock: Clock,
    ) -> Self:
        publish_final_event = PublishFinalEvent(store=store, events=events, bill=usage.gpu_cost())
        submit = SubmitTask(
            catalog=catalog,
            store=store,
            clock=clock,
            keep_for=keep_for,
            quotas=quotas,
            callback_url_policy=webhooks.url_policy,
            estimator=estimates.estimator,
            prompt_tokenizers=tokenizers,
            publisher=publisher,
        )
        cancel = CancelTask(store=store, publish_final_event=publish_final_event, clock=clock)
        return cls(
            submit=submit,
            submit_batch=SubmitBatch(submit_task=submit, batches=batches),
            store=store,
            read=ReadTask(store=store),
            cancel=cancel,
            retry=RetryTask(store=store, publisher=publisher, clock=clock, quotas=quotas),
            delete=DeleteTask(
                store=store, images=images.bucket, webhook_logs=webhooks.logs, cancel_task=cancel, clock=clock
            ),
            remove_expired=RemoveExpiredTasks(
                store=store, images=images.bucket, webhook_logs=webhooks.logs, clock=clock
            ),
            publish_final_event=publish_final_event,
            render=render,
        )
