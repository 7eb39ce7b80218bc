"""ActiveTask: the work of an attempt on a thread of its own."""

import gc
import weakref
from contextlib import suppress
from datetime import timedelta
from threading import Event

from common.domain.task import Task
from gpu_subscriber.attempt.active_task import ActiveTask
from gpu_subscriber.errors import GenerationInterruptedError
from tests.factories import submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class Picture:
    """Stands for the megabytes of a decoded picture."""


def test_work_that_failed_keeps_no_picture_in_memory() -> None:
    clock, store = FakeClock(), InMemoryTaskStore()
    task = store.create(submitted_task(now=clock.now()))
    claimed = store.update(task.id, lambda t: t.claimed_by("worker-a", clock.now(), timedelta(minutes=1)))
    progress: list[Task] = []
    active = ActiveTask(claimed, store=store, clock=clock, on_change=Event().set, on_progress=progress.append)
    freed = Event()

    def work() -> None:
        picture = Picture()
        weakref.finalize(picture, freed.set)
        raise GenerationInterruptedError("stopped")

    gc.disable()
    try:
        with suppress(GenerationInterruptedError):
            active.run(work)
        assert freed.wait(10)
    finally:
        gc.enable()
