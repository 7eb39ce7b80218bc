"""Threads that serve requests of several network addresses, and the requests that wait for them."""

import runpy
import threading
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

import pytest

from common.shared_values import SHARED
from frontend_api import gunicorn_conf
from frontend_api.http_server import buffering_worker
from frontend_api.http_server.request_threads import RequestThreads

THREADS, WAITING = 4, 10
OF_ONE_ADDRESS = 3


@pytest.fixture
def threads() -> RequestThreads:
    return RequestThreads(THREADS, waiting=WAITING, name="test")


class Requests:
    """Requests that last until they are ended."""

    def __init__(self, threads: RequestThreads) -> None:
        self._threads = threads
        self.started: list[str] = []

    def arrive(self, caller: str, *, at_most: int = 1) -> int:
        """Let requests of a caller arrive, and return how many were admitted."""
        for number in range(at_most):
            if not self._threads.admits(caller):
                return number
            self._threads.enter(caller, partial(self.started.append, caller), user=f"user of {caller}")
        return at_most

    def end(self, caller: str, *, count: int = 1) -> list[str]:
        """End requests of this caller, and return the callers whose requests got their threads."""
        before = len(self.started)
        for _ in range(count):
            self._threads.leave(caller, user=f"user of {caller}")
        return self.started[before:]


@pytest.fixture
def requests(threads: RequestThreads) -> Requests:
    return Requests(threads)


def test_burst_of_one_address_delays_no_other(threads: RequestThreads, requests: Requests) -> None:
    assert requests.arrive("greedy", at_most=9) == 9
    assert requests.started == ["greedy"] * OF_ONE_ADDRESS
    assert threads.are_awaited("greedy")
    assert not threads.are_awaited("honest")  # its requests delay none
    assert requests.arrive("honest", at_most=2) == 2
    assert requests.started == ["greedy"] * OF_ONE_ADDRESS + ["honest"]
    assert threads.are_awaited("honest")
    assert requests.end("greedy", count=4) == ["greedy", "honest", "greedy"]  # one is left


def test_address_whose_requests_last_leaves_threads_to_others(requests: Requests) -> None:
    """They may wait for each other, for example changes of many tasks."""
    requests.arrive("greedy", at_most=9)
    for _ in range(5):
        assert requests.arrive("honest") == 1
        assert requests.started[-1] == "honest"
        requests.end("honest")


def test_requests_that_last_leave_threads_to_others_beside_their_own(requests: Requests) -> None:
    requests.arrive("honest")  # an event stream
    requests.arrive("greedy", at_most=9)
    assert requests.started == ["honest", "greedy", "greedy"]
    assert requests.arrive("another") == 1
    assert requests.started[-1] == "another"


def test_address_may_use_all_threads_and_half_of_the_queue(requests: Requests) -> None:
    places = THREADS + WAITING + 6
    assert requests.arrive("greedy", at_most=100) == places // 2 > THREADS + WAITING // 2
    assert requests.arrive("honest", at_most=100) == 5  # half of what is left
    assert requests.arrive("third", at_most=100) == 3
    assert requests.arrive("fourth", at_most=100) == 1


def test_address_with_more_than_its_share_is_admitted_again_when_others_ended(requests: Requests) -> None:
    requests.arrive("greedy", at_most=100)
    requests.arrive("honest", at_most=5)
    requests.end("greedy", count=2)
    assert requests.arrive("greedy") == 0
    requests.end("honest", count=5)
    assert requests.arrive("greedy") == 1


def test_every_admitted_request_gets_a_thread(threads: RequestThreads, requests: Requests) -> None:
    admitted = sum(requests.arrive(caller, at_most=100) for caller in ("greedy", "honest", "third"))
    assert admitted == 10 + 5 + 3
    for caller in requests.started:  # grows while requests end
        requests.end(caller)
    assert len(requests.started) == admitted
    assert not threads.are_awaited("greedy")
    assert requests.arrive("new", at_most=100) == 10


def test_waiting_requests_are_submitted_to_a_pool_with_free_threads(threads: RequestThreads) -> None:
    goes_on, futures = threading.Event(), list[Future[bool]]()
    for _ in range(9):
        threads.enter("caller", lambda: futures.append(threads.pool.submit(goes_on.wait, 60)), user="ada")
    assert len(futures) == OF_ONE_ADDRESS
    goes_on.set()
    for future in futures:  # grows while requests end
        assert future.result(60)
        threads.leave("caller", user="ada")
    assert len(futures) == 9
    assert not wait(futures).not_done
    threads.pool.shutdown()


def test_user_has_a_limited_number_of_threads_from_all_addresses() -> None:
    threads, started = RequestThreads(8, waiting=10, name="test", per_user=3), list[str]()

    def enter(user: str, address: str) -> None:
        threads.enter(address, partial(started.append, user), user=user)

    for number in range(6):
        enter("mal", f"10.0.0.{number % 2}")
    assert started == ["mal"] * 3
    for number in range(4):
        enter("ada", f"10.0.1.{number}")
    assert started == ["mal"] * 3 + ["ada"] * 3
    threads.leave("10.0.0.0", user="mal")
    assert started[6:] == ["mal"]
    assert threads.identify("mal")  # a burst whose credentials were unknown
    assert [threads.identify("mal") for _ in range(6)] == [True] * 5 + [False]


def test_addresses_with_all_waiting_callers_get_threads_for_other_requests() -> None:
    configuration = runpy.run_path(str(Path(gunicorn_conf.__file__)))
    threads = RequestThreads(configuration["threads"], waiting=10, name="test")
    started = list[int]()
    for number in range(SHARED.api.max_waiting):
        threads.enter(f"10.0.0.{number % 3}", partial(started.append, number))
    threads.enter("10.0.0.0", partial(started.append, -1))
    assert len(started) == SHARED.api.max_waiting + 1


def test_connections_remain_when_all_places_of_requests_are_taken() -> None:
    """Otherwise the process accepts no connection, not even of a health check."""
    configuration = runpy.run_path(str(Path(gunicorn_conf.__file__)))
    requests = RequestThreads(
        configuration["threads"], waiting=buffering_worker._WAITING_REQUESTS, name="requests"
    )
    health = RequestThreads(
        buffering_worker._HEALTH_THREADS, waiting=buffering_worker._WAITING_HEALTH_CHECKS, name="health"
    )
    taken = requests.at_most + health.at_most + buffering_worker._SPARE_CONNECTIONS
    assert taken <= configuration["worker_connections"]
