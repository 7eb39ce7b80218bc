"""Fixtures for all tests: the emulators, started once on free ports.

On a CI machine a missing emulator is a failure.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from local_stack.errors import DownloadError, EmulatorMissingError, JavaMissingError
from local_stack.loopback import no_proxy_environment
from local_stack.provisioning import ResourceNames
from local_stack.stack import LocalStack
from tests.emulators import Emulators

# Tests connect to their own servers directly, also where the environment contains proxies.
os.environ.update(no_proxy_environment(os.environ))

RULES = Path(__file__).parents[1] / "terraform" / "firestore.rules"

# The same examples on every run, without a deadline: --hypothesis-profile=default searches for new
# ones.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Google's emulators and the local bucket server. Missing ones skip on a laptop and fail in CI."""
    names = ResourceNames()
    stack = LocalStack.emulators_only(tmp_path_factory.mktemp("emulators"), rules=RULES, names=names)
    try:
        stack.__enter__()
    except (DownloadError, EmulatorMissingError, JavaMissingError) as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no emulators: {exc}")
    environment = dict(stack.environment)
    google = {name: value for name, value in environment.items() if name.endswith("_EMULATOR_HOST")}
    before = {name: os.environ.get(name) for name in google}
    os.environ.update(google)
    try:
        yield Emulators(
            firestore_host=environment["FIRESTORE_EMULATOR_HOST"],
            firestore_rest_host=stack.host("firestore-emulator"),
            pubsub_host=environment["PUBSUB_EMULATOR_HOST"],
            storage_url=environment["STORAGE_EMULATOR_HOST"],
            names=names,
            environment=environment,
        )
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        stack.__exit__(None, None, None)
