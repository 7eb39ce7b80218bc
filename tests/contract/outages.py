"""Calls to a service that is unreachable."""

from collections.abc import Callable

import pytest

from common.domain.errors import DependencyUnavailableError


def assert_each_raises_unavailable(*calls: Callable[[], object]) -> None:
    for call in calls:
        with pytest.raises(DependencyUnavailableError):
            call()
