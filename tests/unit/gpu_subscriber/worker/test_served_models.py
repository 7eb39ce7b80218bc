"""A worker's handling of deliveries for models that other workers serve."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.domain.task import TaskStatus
from gpu_subscriber.__main__ import models_served_elsewhere
from gpu_subscriber.ports import Settlement
from gpu_subscriber.settings import WorkerSettings
from gpu_subscriber.worker.served_models import ServedModelsOnly
from tests.fakes.worker_bench import WorkerBench, delivery_of

THREE_MODELS = Path(__file__).parents[4] / "terraform" / "tests" / "three_models.json"


def worker(bench: WorkerBench, *elsewhere: str) -> ServedModelsOnly:
    return ServedModelsOnly(elsewhere=frozenset(elsewhere), store=bench.store, process=bench.worker())


def test_worker_processes_a_model_it_serves(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench, "sdxl")(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert bench.store.get(task.id).status is TaskStatus.COMPLETED


def test_worker_returns_a_model_of_other_workers_and_leaves_its_task(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench, "demo")(delivery_of(task)) is Settlement.RETURN
    assert bench.store.get(task.id) == task


def test_worker_acknowledges_a_finished_task_of_other_workers(bench: WorkerBench) -> None:
    task = bench.submit()
    assert worker(bench)(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert worker(bench, "demo")(delivery_of(task)) is Settlement.ACKNOWLEDGE


def test_worker_acknowledges_a_deleted_task_of_other_workers(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.store.delete(task.id, now=bench.clock.now())
    assert worker(bench, "demo")(delivery_of(task)) is Settlement.ACKNOWLEDGE


def test_worker_returns_other_workers_models_when_the_store_is_unavailable(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.store.unavailable = True
    assert worker(bench, "demo")(delivery_of(task)) is Settlement.RETURN


def test_worker_dead_letters_a_message_that_the_api_did_not_publish(bench: WorkerBench) -> None:
    delivery = replace(delivery_of(bench.submit()), body=b"junk", attributes={"model": "demo"})
    assert worker(bench, "demo")(delivery) is Settlement.ACKNOWLEDGE
    assert len(bench.dead_letters.published) == 1


def test_models_served_elsewhere_are_those_of_the_catalog_not_served_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DARKROOM_MODEL_CATALOG", str(THREE_MODELS))
    assert models_served_elsewhere(WorkerSettings(models=("demo",))) == {"sdxl", "flux"}
    assert models_served_elsewhere(WorkerSettings()) == set()
