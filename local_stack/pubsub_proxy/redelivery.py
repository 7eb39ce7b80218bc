"""Deadline changes by clients, and the backoff of messages that they return.

The emulator's own retry policies lose messages: of some thousand messages that were returned
repeatedly, about one in seven was never redelivered. The local subscriptions therefore have none,
and the proxy implements backoff: instead of returning a message it lets the lease expire after the
backoff.
"""

from collections.abc import Sequence

from local_stack.pubsub_proxy.emulator_calls import EmulatorCalls
from local_stack.pubsub_proxy.leases import Leases

# Shorter than in the cloud, because a developer is waiting.
_FIRST_PAUSE_SECONDS = 1
_MAX_PAUSE_SECONDS = 20


def pause_before_next_delivery(delivery_attempt: int) -> int:
    """Return the backoff in seconds: none for the first return, then doubled."""
    if delivery_attempt <= 1:
        return 0
    return min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS << min(delivery_attempt - 2, 10))


def change_deadline(
    emulator: EmulatorCalls, leases: Leases, subscription: str, ack_ids: Sequence[str], seconds: int
) -> None:
    """Extend deliveries by the given seconds, or return them with 0. Raises grpc.RpcError."""
    if seconds:
        emulator.modify_deadline(subscription, ack_ids, seconds)
    else:
        for ack_id in ack_ids:
            pause = pause_before_next_delivery(leases.delivery_attempt_of(ack_id))
            emulator.modify_deadline(subscription, [ack_id], pause)
    leases.extend(ack_ids, seconds)
