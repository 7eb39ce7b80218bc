"""Outage: makes a fake fail as its service does when it is unreachable."""

from common.domain.errors import DependencyUnavailableError


class Outage:
    """A base class of fakes. While `unavailable`, every call raises DependencyUnavailableError."""

    service = "firestore"
    unavailable = False

    def _check(self) -> None:
        if self.unavailable:
            raise DependencyUnavailableError(self.service)
