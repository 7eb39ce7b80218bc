"""A site for all cases and a rig for each. Cases that name no engine draw with the stand-in, whose pace they set."""

from collections.abc import Generator, Iterator

import pytest

from tests.chaos.engines import STAND_IN
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
    with Rig(site, engine=STAND_IN) as rig:
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
