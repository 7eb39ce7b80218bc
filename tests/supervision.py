"""A local stack in a test."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from google.cloud import firestore

from common.adapters.firestore_client import firestore_client
from local_stack.stack import LocalStack


@contextmanager
def watched(stack: LocalStack) -> Iterator[None]:
    """Run the supervisor, which restarts ended processes, as `up` does once everything is ready.

    At the end of the block, raises the error that ended the supervision, if any.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="supervisor") as threads:
        watching = threads.submit(stack.watch)
        try:
            yield
        finally:
            stack.interrupted.set()
            watching.result()


def firestore_of(stack: LocalStack) -> firestore.Client:
    """Return a client of the stack's documents."""
    host = stack.environment["FIRESTORE_EMULATOR_HOST"]
    return firestore_client(stack.environment["GOOGLE_CLOUD_PROJECT"], emulator_host=host)
