"""The removal cost that a worker reports to a cluster that scales down."""

import threading

import pytest

from common.domain.errors import DependencyUnavailableError
from gpu_subscriber.worker.pod_deletion_cost import PodDeletionCost, pod_deletion_cost

PATIENCE_SECONDS = 60.0


class Pod:
    """An OwnPod that records its calls and may be unreachable."""

    def __init__(self) -> None:
        self.costs: list[int] = []
        self.out_of_reach = False
        self.heard = threading.Event()

    def set_deletion_cost(self, cost: int) -> None:
        if self.out_of_reach:
            raise DependencyUnavailableError("kubernetes")
        self.costs.append(cost)
        self.heard.set()


class Worker:
    """A worker with `tasks` tasks, and the costs that it has reported."""

    def __init__(self) -> None:
        self.tasks = 0
        self.pod = Pod()
        self.pod_deletion_cost = PodDeletionCost(self.pod, lambda: self.tasks, poll_seconds=0.01)

    def looks(self, tasks: int, *, times: int = 1) -> list[int]:
        """Return the costs reported after `times` refreshes with `tasks` tasks."""
        self.tasks = tasks
        for _ in range(times):
            self.pod_deletion_cost.update()
        return self.pod.costs


@pytest.mark.parametrize(("tasks", "cost"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4)])
def test_deletion_cost_grows_by_one_per_doubling(tasks: int, cost: int) -> None:
    assert pod_deletion_cost(tasks) == cost


def test_unchanged_deletion_cost_is_set_once() -> None:
    assert Worker().looks(3, times=10) == [2]


def test_idle_worker_sets_its_deletion_cost_at_the_start() -> None:
    assert Worker().looks(0) == [0]


def test_higher_cost_is_set_immediately_and_a_lower_one_later() -> None:
    worker = Worker()
    assert worker.looks(1) == [1]
    assert worker.looks(4) == [1, 3]
    assert worker.looks(0, times=5) == [1, 3]
    assert worker.looks(0) == [1, 3, 0]


def test_short_pauses_do_not_change_the_deletion_cost() -> None:
    worker = Worker()
    for _ in range(10):
        worker.looks(1)
        worker.looks(0, times=3)
    assert worker.pod.costs == [1]


def test_failed_deletion_cost_is_set_later() -> None:
    worker = Worker()
    worker.pod.out_of_reach = True
    assert worker.looks(1, times=3) == []
    worker.pod.out_of_reach = False
    assert worker.looks(1) == [1]


def test_deletion_cost_thread_runs_until_stopped() -> None:
    worker = Worker()
    thread = threading.Thread(target=worker.pod_deletion_cost.run)
    thread.start()
    assert worker.pod.heard.wait(PATIENCE_SECONDS)
    worker.pod_deletion_cost.stop()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
