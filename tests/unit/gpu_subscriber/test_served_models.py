"""What a worker does with deliveries of models that it does not serve."""

from dataclasses import replace

import pytest

from common.domain.task import Task, TaskStatus
from common.wire_formats.task_message import task_message_attributes
from gpu_subscriber.ports import Delivery, Settlement
from gpu_subscriber.served_models import ServedModelsOnly
from tests.fakes.worker_bench import WorkerBench, delivery_of


@pytest.fixture
def bench() -> WorkerBench:
    return WorkerBench()


def worker(bench: WorkerBench, *models: str) -> ServedModelsOnly:
    return ServedModelsOnly(models=frozenset(models), store=bench.store, process=bench.worker())


def delivery(task: Task) -> Delivery:
    return replace(delivery_of(task), attributes=task_message_attributes(task))


def test_worker_processes_a_model_it_serves(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench, "demo", "sdxl")(delivery(task)) is Settlement.ACKNOWLEDGE
    assert bench.store.get(task.id).status is TaskStatus.COMPLETED


def test_worker_returns_a_model_it_does_not_serve_and_leaves_its_task(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench, "sdxl")(delivery(task)) is Settlement.RETURN
    assert bench.store.get(task.id) == task


def test_worker_acknowledges_a_finished_task_of_another_model(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench, "demo")(delivery(task)) is Settlement.ACKNOWLEDGE
    assert worker(bench, "sdxl")(delivery(task)) is Settlement.ACKNOWLEDGE


def test_worker_acknowledges_a_deleted_task_of_another_model(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.store.delete(task.id, now=bench.clock.now())
    assert worker(bench, "sdxl")(delivery(task)) is Settlement.ACKNOWLEDGE


def test_worker_returns_another_model_when_the_store_is_unavailable(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.store.unavailable = True
    assert worker(bench, "sdxl")(delivery(task)) is Settlement.RETURN


def test_worker_processes_a_message_without_attributes(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench, "sdxl")(delivery_of(task)) is Settlement.ACKNOWLEDGE
