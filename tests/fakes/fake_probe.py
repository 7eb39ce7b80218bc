"""FakeProbe: a dependency that is reachable until a test changes it."""

from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError


@dataclass
class FakeProbe:
    name: str
    reachable: bool = True
    checks: int = 0

    def check(self) -> None:
        self.checks += 1
        if not self.reachable:
            raise DependencyUnavailableError(self.name)
