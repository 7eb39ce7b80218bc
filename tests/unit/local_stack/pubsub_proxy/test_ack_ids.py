"""Ack ids that stay unique across the emulator's restarts."""

import grpc

from local_stack.pubsub_proxy.ack_ids import AckIds

READY, BROKEN = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE


def test_ack_id_round_trips() -> None:
    ids = AckIds()
    assert ids.current([ids.stamp("s:1"), ids.stamp("s~2")]) == ["s:1", "s~2"]


def test_ack_ids_of_an_earlier_incarnation_are_dropped() -> None:
    ids = AckIds()
    ids.on_connectivity(READY)
    old = ids.stamp("s:1")
    ids.on_connectivity(BROKEN)
    ids.on_connectivity(READY)
    new = ids.stamp("s:1")
    assert ids.current([old, new, "foreign"]) == ["s:1"]
    assert ids.current([old]) == []


def test_ack_ids_keep_their_incarnation_when_a_connect_fails() -> None:
    ids = AckIds()
    first = ids.stamp("s:1")
    ids.on_connectivity(grpc.ChannelConnectivity.CONNECTING)
    ids.on_connectivity(BROKEN)
    ids.on_connectivity(READY)
    assert ids.current([first]) == ["s:1"]
