import pytest

from tests.fakes.worker_bench import WorkerBench


@pytest.fixture
def bench() -> WorkerBench:
    return WorkerBench()
