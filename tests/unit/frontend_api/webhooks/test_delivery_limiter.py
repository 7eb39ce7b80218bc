"""The limits of concurrent webhook tries: per host, per caller, in all."""

from contextlib import ExitStack

import pytest

from frontend_api.webhooks.delivery_limiter import DeliveryLimiter, ReceiverBusyError


def held(limiter: DeliveryLimiter, exits: ExitStack, *slots: tuple[str, str]) -> None:
    for host, user_id in slots:
        exits.enter_context(limiter.slot(host, user_id=user_id))


@pytest.mark.parametrize(
    ("slots", "refused"),
    [
        ([("a.example", "ada"), ("a.example", "bob")], ("a.example", "eve")),
        ([("a.example", "ada"), ("b.example", "ada"), ("c.example", "ada")], ("d.example", "ada")),
        ([(f"{n}.example", f"caller-{n}") for n in range(5)], ("z.example", "eve")),
    ],
    ids=["host", "caller", "all"],
)
def test_slot_is_refused_at_the_limit_and_free_again(
    slots: list[tuple[str, str]], refused: tuple[str, str]
) -> None:
    limiter = DeliveryLimiter(per_host=2, per_caller=3, in_all=5)
    host, user_id = refused
    with ExitStack() as exits:
        held(limiter, exits, *slots)
        with pytest.raises(ReceiverBusyError), limiter.slot(host, user_id=user_id):
            pass
    with limiter.slot(host, user_id=user_id):
        pass
