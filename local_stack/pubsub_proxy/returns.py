"""What clients do to the deadlines of their deliveries, and the retry policy for what they return.

The emulator has retry policies of its own, and loses messages by them: of some thousand that were returned again and
again about one in seven never came back. So the local subscriptions have none, and the proxy slows what is
returned: instead of returning a message it lets its lease run out after the pause that is due.
"""

from collections.abc import Sequence

from local_stack.pubsub_proxy.emulator_calls import EmulatorCalls
from local_stack.pubsub_proxy.leases import Leases

# Shorter than in the cloud: somebody is watching.
_FIRST_PAUSE_SECONDS = 1
_LONGEST_PAUSE_SECONDS = 20


def pause_before_next_delivery(delivery_attempt: int) -> int:
    """Seconds. The first return comes back at once, as on the real service; each further one waits twice as long."""
    if delivery_attempt <= 1:
        return 0
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS << min(delivery_attempt - 2, 10))


def change_deadline(
    emulator: EmulatorCalls, leases: Leases, subscription: str, ack_ids: Sequence[str], seconds: int
) -> None:
    """A client wants so many seconds more, or, with 0, returns its deliveries. Raises grpc.RpcError."""
    if seconds:
        emulator.modify_deadline(subscription, ack_ids, seconds)
    else:
        for ack_id in ack_ids:
            pause = pause_before_next_delivery(leases.delivery_attempt_of(ack_id))
            emulator.modify_deadline(subscription, [ack_id], pause)
    leases.extended(ack_ids, seconds)
