"""A gRPC proxy in front of the Pub/Sub emulator that makes its subscriptions behave like the real
service.

The emulator's own StreamingPull ignores flow control: it leases the whole backlog to one stream,
and waiting messages are then delivered twice and dead-lettered. It also continues to feed closed
streams, and ignores subscription filters. The proxy implements StreamingPull with unary pulls and
forwards every other call as bytes, so that production code needs no special case.
"""
