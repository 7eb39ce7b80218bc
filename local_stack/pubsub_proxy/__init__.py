"""A gRPC proxy in front of the Pub/Sub emulator that makes its subscriptions behave like the real service's.

The emulator's own StreamingPull ignores flow control (it leases the whole backlog to one stream, and waiting messages
are then delivered twice and dead-lettered for waiting), goes on feeding streams that have ended, and ignores
subscription filters. The proxy serves StreamingPull by unary pulls and passes every other call through as bytes, so
that production code needs to know nothing of this.
"""
