"""The port that checks whether a dependency is reachable."""

from typing import Protocol


class Probe(Protocol):
    """Checks whether one dependency is reachable."""

    @property
    def name(self) -> str:
        """The dependency's name, as `/readyz` shows it."""
        ...

    def check(self) -> None:
        """Return within seconds if the dependency answered. Raises DependencyUnavailableError."""
        ...
