"""A capacity of the process: what one caller holds does not exclude others."""

import pytest

from frontend_api.fair_shares import FairShares


@pytest.fixture
def shares() -> FairShares:
    return FairShares(100)


def taken(shares: FairShares, caller: str, *, at_most: int = 1_000, amount: int = 1) -> int:
    """Take until the caller is refused, and return how often it was admitted."""
    for number in range(at_most):
        if not shares.admits(caller):
            return number
        shares.take(caller, amount)
    return at_most


def test_one_caller_leaves_capacity_for_others(shares: FairShares) -> None:
    assert taken(shares, "greedy") == 100
    assert taken(shares, "honest", at_most=50) == 50


def test_greedy_caller_gets_nothing_that_becomes_free(shares: FairShares) -> None:
    taken(shares, "greedy")
    taken(shares, "honest", at_most=1)
    shares.give_back("greedy")
    assert not shares.admits("greedy")
    assert shares.admits("honest")


def test_caller_may_take_all_that_no_other_needs(shares: FairShares) -> None:
    taken(shares, "honest", at_most=9)
    assert taken(shares, "busy") == 91


def test_several_greedy_callers_leave_capacity_for_others(shares: FairShares) -> None:
    assert [taken(shares, f"greedy {number}") for number in range(4)] == [100, 50, 34, 25]
    assert taken(shares, "honest", at_most=10) == 10


def test_nothing_is_admitted_beyond_the_limit_of_all_callers() -> None:
    shares = FairShares(100, at_most=130)
    assert [taken(shares, f"caller {number}", amount=65) for number in range(3)] == [2, 0, 0]
    assert not shares.take_if_admitted("new", 1)
    shares.give_back("caller 0", 65)
    assert shares.take_if_admitted("new", 1)


def test_caller_that_holds_less_than_is_left_is_admitted() -> None:
    shares = FairShares(100, at_most=150)
    assert [taken(shares, f"greedy {number}") for number in range(3)] == [100, 25, 13]
    assert [taken(shares, f"honest {number}", at_most=5) for number in range(3)] == [5, 4, 2]


def test_caller_that_must_leave_a_margin_holds_a_smaller_part() -> None:
    shares = FairShares(10, at_most=150, margin=2)
    assert [taken(shares, f"greedy {number}") for number in range(3)] == [50, 34, 22]
    assert taken(shares, "honest", at_most=5) == 5


def test_large_amounts_of_one_caller_leave_capacity_for_others() -> None:
    shares = FairShares(1_000)
    assert taken(shares, "greedy", amount=400) == 3
    assert taken(shares, "honest", amount=400) == 2
    shares.give_back("greedy", 1_200)
    assert shares.admits("greedy")
