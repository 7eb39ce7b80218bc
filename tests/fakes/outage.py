"""Outage: makes a fake fail as its service does when it is unreachable."""

from collections.abc import Callable
from typing import NoReturn

from common.domain.errors import DependencyUnavailableError


class Outage:
    """A base class of fakes. While `unavailable`, every call raises DependencyUnavailableError."""

    service = "firestore"
    unavailable = False

    def _check(self) -> None:
        if self.unavailable:
            raise DependencyUnavailableError(self.service)


def unavailable(service: str) -> Callable[..., NoReturn]:
    """Return a replacement of a single method that fails as with an unreachable service."""

    def call(*_arguments: object, **_options: object) -> NoReturn:
        raise DependencyUnavailableError(service)

    return call
