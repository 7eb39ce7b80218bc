"""The local stack's supervisor in a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from local_stack.stack import LocalStack


@contextmanager
def watched(stack: LocalStack) -> Iterator[None]:
    """Run the supervisor, which restarts ended processes, as `up` does once everything is ready."""
    watching = threading.Thread(target=stack.watch)
    watching.start()
    try:
        yield
    finally:
        stack.interrupted.set()
        watching.join()
