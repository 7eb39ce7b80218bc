"""The Firestore clients of the contract suites."""

import uuid

import pytest
from google.cloud.firestore import Client

from common.adapters.firestore_client import firestore_client
from local_stack.loopback import free_port
from tests.emulators import Emulators


@pytest.fixture
def firestore(emulators: Emulators) -> Client:
    """A project per test, so that queries find no documents of other tests."""
    return firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)


@pytest.fixture
def unreachable_firestore() -> Client:
    return firestore_client("demo-unreachable", emulator_host=f"127.0.0.1:{free_port()}")
