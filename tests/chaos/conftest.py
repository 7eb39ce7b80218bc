"""A site for all cases and a rig for each. The engine is a stand-in unless CHAOS_ENGINE=demo asks for the real one."""

import os
from collections.abc import Generator, Iterator

import pytest

from tests.chaos.engines import DEMO_MODEL, STAND_IN
from tests.chaos.rig import Rig, Site

PASSED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Emulators, API and rescue tick; no worker."""
    with Site(tmp_path_factory.mktemp("chaos")) as site:
        yield site


@pytest.fixture
def rig(site: Site, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """What one case hurts. A case that came to its end must have judged all that it submitted."""
    engine = DEMO_MODEL if os.environ.get("CHAOS_ENGINE") == "demo" else STAND_IN
    with Rig(site, engine=engine) as rig:
        yield rig
    assert rig.is_judged or not request.node.stash.get(PASSED, False), "a case without its judgement"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the rig know how its case went."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report
