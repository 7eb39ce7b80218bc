"""The limits of concurrent webhook tries: per host, per caller, per address, in all."""

from contextlib import AbstractContextManager, ExitStack
from ipaddress import ip_address

import pytest

from frontend_api.webhooks.delivery_limiter import AddressLimiter, DeliveryLimiter, ReceiverBusyError


def held(limiter: DeliveryLimiter, exits: ExitStack, *slots: tuple[str, str]) -> None:
    for host, user_id in slots:
        exits.enter_context(limiter.slot(host, user_id=user_id))


@pytest.mark.parametrize(
    ("slots", "refused", "is_own"),
    [
        ([("a.example", "ada")] * 2, ("a.example", "ada"), True),
        ([("a.example", "ada"), ("a.example", "bob")] * 2, ("a.example", "eve"), False),
        ([("a.example", "ada"), ("b.example", "ada"), ("c.example", "ada")], ("d.example", "ada"), True),
        ([(f"{n}.example", f"caller-{n}") for n in range(5)], ("z.example", "eve"), False),
    ],
    ids=["host", "host of all callers", "caller", "all"],
)
def test_slot_is_refused_at_the_limit_and_free_again(
    slots: list[tuple[str, str]], refused: tuple[str, str], is_own: bool
) -> None:
    limiter = DeliveryLimiter(per_host=2, per_caller=3, in_all=5)
    host, user_id = refused
    with ExitStack() as exits:
        held(limiter, exits, *slots)
        with pytest.raises(ReceiverBusyError) as raised, limiter.slot(host, user_id=user_id):
            pass
    assert raised.value.is_own == is_own
    with limiter.slot(host, user_id=user_id):
        pass


def test_caller_leaves_slots_of_a_host_to_others() -> None:
    limiter = DeliveryLimiter(per_host=2, per_caller=3, in_all=5)
    with ExitStack() as exits:
        held(limiter, exits, *[("shared.example", "mallory")] * 2, *[("shared.example", "ada")] * 2)


def is_refused(limiter: AddressLimiter, *addresses: str, user_id: str = "ada") -> bool:
    try:
        with slot(limiter, *addresses, user_id=user_id):
            return False
    except ReceiverBusyError:
        return True


def slot(limiter: AddressLimiter, *addresses: str, user_id: str = "ada") -> AbstractContextManager[None]:
    return limiter.slot([ip_address(address) for address in addresses], user_id=user_id)


def hang(limiter: AddressLimiter, *addresses: str, user_id: str = "ada") -> None:
    with pytest.raises(TimeoutError), slot(limiter, *addresses, user_id=user_id):
        raise TimeoutError


@pytest.mark.parametrize(
    ("held", "refused", "free"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("203.0.113.7", "::ffff:203.0.113.7", "::ffff:203.0.113.8"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
    ],
)
def test_address_has_a_limit_whatever_host_names_it_has(held: str, refused: str, free: str) -> None:
    limiter = AddressLimiter(per_address=2, silent_in_all=1)
    with slot(limiter, held), slot(limiter, held, "198.51.100.1"):
        assert is_refused(limiter, refused)
        assert is_refused(limiter, free, refused)
        assert not is_refused(limiter, free)
    assert not is_refused(limiter, refused)


def test_address_has_a_limit_of_all_callers_together() -> None:
    limiter = AddressLimiter(per_address=1, silent_in_all=1)
    with slot(limiter, "203.0.113.7", user_id="ada"), slot(limiter, "203.0.113.7", user_id="bob"):
        assert is_refused(limiter, "203.0.113.7", user_id="eve")
    assert not is_refused(limiter, "203.0.113.7", user_id="eve")


def test_caller_cannot_block_an_address_for_others() -> None:
    """Its host name leads to an address that hangs, and to the one of another caller's receiver."""
    limiter = AddressLimiter(per_address=2, silent_in_all=1)
    own, of_others = "198.51.100.66", "203.0.113.7"
    with slot(limiter, own, of_others, user_id="mallory"), slot(limiter, own, of_others, user_id="mallory"):
        assert not is_refused(limiter, of_others)
    hang(limiter, own, of_others, user_id="mallory")
    with slot(limiter, of_others):
        assert not is_refused(limiter, of_others)  # not silent, so more than one try at a time


def test_receivers_without_a_response_share_a_few_slots() -> None:
    """Each caller may use any number of addresses that never respond."""
    limiter = AddressLimiter(per_address=4, silent_in_all=2)
    callers = [f"caller-{number}" for number in range(3)]
    silent = {user_id: f"203.0.113.{number}" for number, user_id in enumerate(callers)}
    for user_id, address in silent.items():
        hang(limiter, address, user_id=user_id)
    ada, bob, eve = callers
    with slot(limiter, silent[ada], user_id=ada):
        assert is_refused(limiter, silent[ada], user_id=ada)
        with slot(limiter, silent[bob], user_id=bob):
            assert is_refused(limiter, silent[eve], user_id=eve)
            assert not is_refused(limiter, "198.51.100.1", user_id=eve)
    assert not is_refused(limiter, silent[eve], user_id=eve)


def test_last_slots_are_for_callers_that_hold_none() -> None:
    limiter = DeliveryLimiter(per_host=9, per_caller=6, in_all=8)
    with ExitStack() as exits:
        held(limiter, exits, *[("a.example", f"mallory-{number % 2}") for number in range(6)])
        with pytest.raises(ReceiverBusyError):
            held(limiter, exits, ("b.example", "mallory-0"))
        held(limiter, exits, ("c.example", "ada"), ("c.example", "bob"))
        with pytest.raises(ReceiverBusyError):
            held(limiter, exits, ("c.example", "eve"))


def test_caller_has_one_slot_for_receivers_without_a_response() -> None:
    """Otherwise a caller with several such addresses would leave none to a receiver that works again."""
    limiter = AddressLimiter(per_address=4, silent_in_all=4)
    own = [f"203.0.113.{number}" for number in range(4)]
    for address in own:
        hang(limiter, address, user_id="mallory")
    hang(limiter, "198.51.100.1", user_id="ada")
    with slot(limiter, own[0], user_id="mallory"):
        assert all(is_refused(limiter, address, user_id="mallory") for address in own)
        assert not is_refused(limiter, "198.51.100.1", user_id="ada")


def test_receiver_that_responds_again_gets_all_its_slots() -> None:
    limiter = AddressLimiter(per_address=2, silent_in_all=1)
    hang(limiter, "203.0.113.7")
    assert not is_refused(limiter, "203.0.113.7")
    with slot(limiter, "203.0.113.7"):
        assert not is_refused(limiter, "203.0.113.7")
