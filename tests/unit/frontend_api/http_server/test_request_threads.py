"""Threads that serve requests of several network addresses, and the requests that wait for them."""

import runpy
import threading
from collections import defaultdict, deque
from concurrent.futures import Future, wait
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from common.shared_values import SHARED
from frontend_api import gunicorn_conf
from frontend_api.http_server import buffering_worker
from frontend_api.http_server.request_threads import Place, RequestThreads

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
        """The addresses."""
        self._running: dict[str, deque[Place]] = defaultdict(deque)
        self._numbers = count()

    def arrive(
        self, address: str, *, at_most: int = 1, user: str | None = "", kind: str = "GET /v1/tasks"
    ) -> int:
        """Let requests arrive, and return how many were admitted. By default, each has a user of its own."""
        for number in range(at_most):
            owner = f"user {next(self._numbers)}" if user == "" else user
            if not self._threads.admits(address, owner):
                return number
            place = Place(address=address, user=owner, kind=kind, start=lambda: None)
            place.start = partial(self._start, place)
            self._threads.enter(place)
        return at_most

    def end(self, address: str, *, count: int = 1) -> list[str]:
        """End the oldest requests of this address, and return the addresses whose requests got their threads."""
        before = len(self.started)
        for _ in range(count):
            self._threads.leave(self._running[address].popleft())
        return self.started[before:]

    def of(self, address: str) -> list[Place]:
        """The requests that have threads, the oldest first."""
        return list(self._running[address])

    def identify(self, place: Place, user: str) -> None:
        """Record whose request it is, as the server does."""
        if self._threads.identify(place, user):
            return
        self._running[place.address].remove(place)
        if self._threads.admits_user(user):
            self._threads.put_back(place, user)
        else:
            self._threads.leave(place)

    def _start(self, place: Place) -> None:
        self.started.append(place.address)
        self._running[place.address].append(place)


@pytest.fixture
def requests(threads: RequestThreads) -> Requests:
    return Requests(threads)


def test_burst_of_one_address_delays_no_other(threads: RequestThreads, requests: Requests) -> None:
    assert requests.arrive("greedy", at_most=9) == 9
    assert requests.started == ["greedy"] * OF_ONE_ADDRESS
    assert threads.are_awaited(requests.of("greedy")[0])
    assert requests.arrive("honest") == 1
    assert requests.arrive("honest") == 1
    assert requests.started == ["greedy"] * OF_ONE_ADDRESS + ["honest"]
    assert threads.are_awaited(requests.of("honest")[0])
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


def test_every_admitted_request_gets_a_thread(requests: Requests) -> None:
    admitted = sum(requests.arrive(caller, at_most=100) for caller in ("greedy", "honest", "third"))
    assert admitted == 10 + 5 + 3
    for address in requests.started:  # grows while requests end
        requests.end(address)
    assert len(requests.started) == admitted
    assert requests.arrive("new", at_most=100) == 10


def test_waiting_requests_are_submitted_to_a_pool_with_free_threads(threads: RequestThreads) -> None:
    goes_on, futures = threading.Event(), list[Future[bool]]()

    def start() -> None:
        futures.append(threads.pool.submit(goes_on.wait, 60))

    places = [Place(address="caller", user="ada", kind="GET /v1/tasks", start=start) for _ in range(9)]
    for place in places:
        threads.enter(place)
    assert len(futures) == OF_ONE_ADDRESS
    goes_on.set()
    for place, future in zip(places, futures, strict=False):  # grows while requests end
        assert future.result(60)
        threads.leave(place)
    assert len(futures) == 9
    assert not wait(futures).not_done
    threads.pool.shutdown()


def test_user_has_a_limited_number_of_threads_from_all_addresses() -> None:
    requests = Requests(RequestThreads(8, waiting=10, name="test", per_user=lambda _user: 3))
    for number in range(6):
        requests.arrive(f"mal {number % 2}", user="mal")
    assert requests.started == ["mal 0", "mal 1", "mal 0"]
    for number in range(4):
        requests.arrive(f"ada {number}", user="ada")
    assert requests.started[3:] == ["ada 0", "ada 1", "ada 2"]
    assert requests.end("mal 0") == ["mal 1"]


def test_request_of_an_unknown_user_that_has_its_threads_gives_its_own_back() -> None:
    requests = Requests(RequestThreads(8, waiting=10, name="test", per_user=lambda _user: 3))
    requests.arrive("mal 0", user=None, at_most=3)
    requests.arrive("mal 1", user=None, at_most=3)
    for place in (*requests.of("mal 0"), *requests.of("mal 1")):
        requests.identify(place, "mal")
    assert requests.started == ["mal 0"] * 3 + ["mal 1"] * 3
    assert requests.of("mal 1") == []
    assert requests.arrive("mal 2", user="mal") == 1
    assert requests.arrive("ada") == 1
    assert requests.started[6:] == ["ada"]
    assert requests.end("mal 0", count=3) == ["mal 1", "mal 2", "mal 1"]
    assert requests.end("mal 1") == ["mal 1"]


def test_kinds_of_requests_of_a_user_take_turns() -> None:
    requests = Requests(RequestThreads(8, waiting=20, name="test", per_user=lambda _user: 4))
    requests.arrive("home", user="ada", at_most=9, kind="POST /v1/tasks:batch")
    assert len(requests.started) == 3
    assert requests.arrive("home", user="ada") == 1
    assert requests.started[3:] == ["home"]


def test_requests_of_a_user_from_another_address_take_turns() -> None:
    requests = Requests(RequestThreads(8, waiting=20, name="test", per_user=lambda _user: 1))
    requests.arrive("ada's first", user="ada", at_most=9)
    requests.arrive("ada's second", user="ada")
    assert requests.started == ["ada's first"]
    assert requests.end("ada's first") == ["ada's second"]
    assert requests.end("ada's second") == ["ada's first"]


def test_user_leaves_places_to_others_behind_its_address() -> None:
    requests = Requests(RequestThreads(THREADS, waiting=WAITING, name="test"))
    assert requests.arrive("office", user="mal", at_most=100) == 7
    assert requests.arrive("office", user="ada", at_most=100) == 3
    assert requests.arrive("elsewhere", user="mal", at_most=100) == 0
    assert requests.arrive("elsewhere", user="bob", at_most=100) == 4


def test_user_who_was_unknown_has_its_share_of_the_places_from_all_addresses() -> None:
    requests = Requests(RequestThreads(8, waiting=40, name="test", per_user=lambda _user: 2))
    for number in range(20):
        requests.arrive(f"mal {number}", user=None, at_most=100)
        while known := [place for place in requests.of(f"mal {number}") if place.user is None]:
            requests.identify(known[0], "mal")
    assert requests.arrive("mal", user="mal") == 0
    assert requests.arrive("others", at_most=100) == 24


def test_requests_that_wait_for_changes_leave_threads_and_places_to_others() -> None:
    threads = RequestThreads(THREADS, waiting=WAITING, slots=100, name="test", per_user=lambda _user: 4)
    requests = Requests(threads)
    for number in range(100):
        assert requests.arrive(f"office {number % 3}") == 1
        assert len(requests.started) == number + 1
        threads.begin_wait(requests.of(f"office {number % 3}")[-1])
    assert requests.arrive("office 0", at_most=100) == 10
    assert len(requests.started) == 100 + OF_ONE_ADDRESS
    assert not threads.are_awaited(requests.of("office 0")[0])
    requests.end("office 0", count=34)
    assert requests.started[100:] == ["office 0"] * OF_ONE_ADDRESS


def test_requests_whose_waits_have_ended_keep_their_slots() -> None:
    """Their callers may read the responses slowly."""
    threads = RequestThreads(THREADS, waiting=WAITING, slots=20, name="test")
    requests = Requests(threads)
    for _ in range(20):
        requests.arrive("ada")
        threads.begin_wait(requests.of("ada")[-1])
        threads.begin_wait(requests.of("ada")[-1])  # a long poll waits for each change
    requests.arrive("ada", at_most=9)
    assert requests.arrive("bob") == 1
    assert requests.started[-1] == "bob"
    requests.end("ada", count=20)
    assert requests.started[-1] == "bob"


def test_connections_remain_when_all_places_of_requests_are_taken() -> None:
    """Otherwise the process accepts no connection, not even of a health check."""
    configuration = runpy.run_path(str(Path(gunicorn_conf.__file__)))
    slots = SHARED.api.max_waiting
    requests = RequestThreads(
        configuration["threads"] - slots, waiting=buffering_worker._WAITING_REQUESTS, slots=slots, name="test"
    )
    health = RequestThreads(
        buffering_worker._HEALTH_THREADS, waiting=buffering_worker._WAITING_HEALTH_CHECKS, name="health"
    )
    taken = requests.at_most + slots + health.at_most + buffering_worker._SPARE_CONNECTIONS
    assert taken <= configuration["worker_connections"]
