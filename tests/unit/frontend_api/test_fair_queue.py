"""Work of several callers that waits for the same capacity."""

import threading
from collections import Counter, deque
from collections.abc import Callable

from frontend_api.fair_queue import FairQueue

CALLERS = ("ada", "bob", "eve")


class Work:
    """A queue, and the work that was started, in its order."""

    def __init__(self, capacity: int, **limits: int) -> None:
        self.queue = FairQueue(capacity, **limits)
        self.started: list[str] = []

    def enter(self, caller: str, *names: str) -> None:
        for name in names:
            self.queue.enter(caller, lambda name=name: self.started.append(name))  # type: ignore[misc]

    def started_after(self, *leaving: str) -> list[str]:
        """Return the work that starts when these callers' work ends."""
        before = len(self.started)
        for caller in leaving:
            self.queue.leave(caller)
        return self.started[before:]


def test_work_starts_at_once_while_there_is_capacity() -> None:
    work = Work(3)
    work.enter("ada", "a1", "a2", "a3", "a4")
    assert work.started == ["a1", "a2", "a3"]
    assert work.queue.is_delayed_by("ada")
    assert work.started_after("ada") == ["a4"]
    assert not work.queue.is_delayed_by("ada")


def test_callers_with_a_backlog_take_turns() -> None:
    work = Work(1)
    work.enter("ada", "a1", "a2", "a3")
    work.enter("bob", "b1", "b2", "b3")
    work.enter("eve", "e1")
    turns = ("ada", "bob", "eve", "ada", "bob", "ada")
    assert work.started_after(*turns) == ["b1", "e1", "a2", "b2", "a3", "b3"]


def test_caller_without_running_work_passes_the_backlog_of_others() -> None:
    work = Work(2)
    work.enter("ada", *(f"a{number}" for number in range(100)))
    work.enter("eve", *(f"e{number}" for number in range(100)))
    work.started_after("ada")
    work.enter("bob", "b1")
    assert work.started_after("eve") == ["b1"]


def test_caller_whose_work_lasts_gets_its_turns_beside_short_work() -> None:
    work = Work(5)
    work.enter("ada", "stream 1", "stream 2", "stream 3")
    work.enter("bob", *(f"b{number}" for number in range(100)))
    work.enter("ada", "a4", "a5")
    assert work.started_after("bob", "bob", "bob", "bob") == ["b2", "a4", "b3", "a5"]


def test_caller_with_two_connections_does_not_pass_a_backlog_forever() -> None:
    work = Work(1)
    work.enter("ada", "a1", "a2", "a3")
    work.enter("bob", "b1")
    assert work.started_after("ada") == ["b1"]
    work.enter("bob", "b2")  # while its first is running
    assert work.started_after("bob") == ["a2"]
    work.enter("bob", "b3")  # while its second waits
    assert work.started_after("ada", "bob", "ada") == ["b2", "a3", "b3"]


def test_second_work_of_a_caller_is_not_passed_forever() -> None:
    work = Work(3)
    others = [f"caller {number}" for number in range(4)]
    for caller in others[:2]:
        work.enter(caller, caller)
    work.enter("ada", "ada", "ada again")
    for caller in others[2:]:
        work.enter(caller, caller)
    for turn in range(20):
        caller = work.started[turn]  # the oldest running work ends, and its caller sends more
        work.queue.leave(caller.removesuffix(" again"))
        if caller in others:
            work.enter(caller, caller)
    assert "ada again" in work.started


def test_last_places_are_for_callers_that_have_fewer_than_are_free() -> None:
    work = Work(12, reserve=4)
    for number in range(20):
        work.enter("greedy", f"g{number}")
    assert len(work.started) == 8
    assert work.queue.is_delayed_by("greedy")
    work.enter("ada", "a1", "a2", "a3")
    assert work.started[8:] == ["a1", "a2"]
    work.enter("bob", "b1", "b2")
    assert work.started[10:] == ["b1"]
    assert not work.queue.is_delayed_by("cleo")
    assert work.started_after("greedy") == ["b2"]


def test_running_work_is_taken_only_if_it_would_start() -> None:
    work = Work(4, per_caller=2, reserve=1)
    assert [work.queue.take("ada") for _ in range(3)] == [True, True, False]
    work.enter("ada", "a1")
    assert work.started_after("ada") == ["a1"]
    work.enter("ada", "a2")
    work.queue.leave("ada")
    assert work.started == ["a1", "a2"]
    assert work.queue.take("bob")
    assert not work.queue.take("bob")  # the last one is for others
    assert work.queue.take("cleo")


def test_caller_takes_at_most_its_share_of_the_capacity() -> None:
    work = Work(3, per_caller=2)
    work.enter("ada", "a1", "a2", "a3", "a4")
    work.enter("bob", "b1")
    work.enter("eve", "e1")
    assert work.started == ["a1", "a2", "b1"]
    assert work.started_after("ada") == ["e1"]
    assert work.started_after("bob") == ["a3"]
    assert work.started_after("eve") == []
    assert work.started_after("ada") == ["a4"]


def test_queue_keeps_nothing_of_callers_without_work() -> None:
    work = Work(2)
    for number in range(100):
        work.enter(f"caller {number}", "once")
    assert len(work.started_after(*(f"caller {number}" for number in range(100)))) == 98
    assert not any(len(each) for each in vars(work.queue).values() if isinstance(each, Counter | dict | set))


def test_returning_work_comes_before_new_work_of_its_caller_but_not_of_others() -> None:
    work = Work(2, per_caller=1)
    work.enter("ada", "a1", "a2", "a3")
    assert work.started_after("ada") == ["a2"]  # while a1 calls a service
    for name in ("a1 again", "a0 again"):
        work.queue.enter("ada", lambda name=name: work.started.append(name), returns=True)  # type: ignore[misc]
    work.enter("bob", "b1")
    assert work.started[-1] == "b1", "ada has its share"
    assert work.started_after("ada", "ada", "ada") == ["a1 again", "a0 again", "a3"]


def test_withdrawn_work_does_not_start() -> None:
    work, start = Work(1), lambda: work.started.append("withdrawn")
    work.enter("ada", "a1", "a2")
    work.queue.enter("bob", start)
    assert work.queue.withdraw("bob", start)
    assert not work.queue.withdraw("bob", start)
    work.queue.enter("bob", start, returns=True)
    assert work.queue.withdraw("bob", start)
    assert work.started_after("ada", "ada") == ["a2"]
    assert not any(len(each) for each in vars(work.queue).values() if isinstance(each, Counter | dict | set))


def test_work_that_has_started_cannot_be_withdrawn() -> None:
    work, start = Work(1), lambda: work.started.append("b1")
    work.queue.enter("bob", start)
    assert not work.queue.withdraw("bob", start)
    assert work.started == ["b1"]


def test_all_work_of_many_threads_runs_once_and_within_the_limits() -> None:
    queue, lock, finished = FairQueue(4, per_caller=3), threading.Lock(), threading.Semaphore(0)
    running, most, order = Counter[str](), Counter[str](), {caller: list[int]() for caller in CALLERS}
    ready, at_hand = threading.Semaphore(0), deque[tuple[str, int]]()

    def starting(caller: str, number: int) -> Callable[[], None]:
        def start() -> None:  # the queue is locked
            at_hand.append((caller, number))
            ready.release()

        return start

    def serve() -> None:
        while ready.acquire() and (job := at_hand.popleft())[0]:
            caller, number = job
            with lock:
                running[caller] += 1
                most[caller] = max(most[caller], running[caller])
                most["all"] = max(most["all"], running.total())
                order[caller].append(number)
            with lock:
                running[caller] -= 1
            queue.leave(caller)
            finished.release()

    def send(caller: str) -> None:
        for number in range(500):
            queue.enter(caller, starting(caller, number))

    servers = [threading.Thread(target=serve) for _ in range(8)]
    senders = [threading.Thread(target=send, args=(caller,)) for caller in CALLERS]
    for thread in (*servers, *senders):
        thread.start()
    assert all(finished.acquire(timeout=60) for _ in range(500 * len(CALLERS)))
    for _ in servers:
        starting("", 0)()
    for thread in (*servers, *senders):
        thread.join(60)
    assert {caller: sorted(numbers) for caller, numbers in order.items()} == {
        caller: list(range(500)) for caller in CALLERS
    }
    assert most["all"] <= 4
    assert all(most[caller] <= 3 for caller in CALLERS)
    assert not any(map(queue.is_delayed_by, CALLERS))
