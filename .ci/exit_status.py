"""A pytest plugin that writes the exit status into the cache. make reports 2 for each kind of failure."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    cache: pytest.Cache = session.config.cache  # type: ignore[assignment]
    cache.set("exit_status", int(exitstatus))
