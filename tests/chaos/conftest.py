"""Fixtures: one site for all tests and one rig per test.

Tests that select no engine use the stand-in, whose pace they set.
"""

from collections.abc import Generator, Iterator

import pytest

from tests.chaos.engines import STAND_IN
from tests.chaos.rig import Rig, Site

PASSED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Emulators, API and scheduler, without workers."""
    with Site(tmp_path_factory.mktemp("chaos")) as site:
        yield site


@pytest.fixture
def rig(site: Site, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The system under test. Fails a test that has not verified all its submissions."""
    with Rig(site, engine=STAND_IN) as rig:
        yield rig
    assert rig.is_verified or not request.node.stash.get(PASSED, False), "the test did not call verify()"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make the result of the test available to the rig."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report
