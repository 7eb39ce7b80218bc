"""A local stack in a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from google.cloud import firestore

from common.adapters.firestore_client import firestore_client
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


def firestore_of(stack: LocalStack) -> firestore.Client:
    """Return a client of the stack's documents."""
    host = stack.environment["FIRESTORE_EMULATOR_HOST"]
    return firestore_client(stack.environment["GOOGLE_CLOUD_PROJECT"], emulator_host=host)
