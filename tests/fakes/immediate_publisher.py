"""A TaskPublisher that records confirmations on the calling thread, before it returns."""

from common.ports import Clock
from frontend_api.tasks.ports import TaskBatches, TaskQueue
from frontend_api.tasks.publisher import TaskPublisher
from tests.fakes.immediate_executor import ImmediateExecutor


def immediate_publisher(queue: TaskQueue, batches: TaskBatches, clock: Clock) -> TaskPublisher:
    return TaskPublisher(
        queue=queue, batches=batches, writer=ImmediateExecutor(), clock=clock, gather_seconds=0
    )
