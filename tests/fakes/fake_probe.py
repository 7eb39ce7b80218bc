"""FakeProbe: a dependency that is there, until a test says otherwise."""

from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError


@dataclass
class FakeProbe:
    """A Probe for tests."""

    name: str
    reachable: bool = True

    def check(self) -> None:
        if not self.reachable:
            raise DependencyUnavailableError(self.name)
