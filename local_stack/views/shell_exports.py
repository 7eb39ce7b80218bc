"""The stack's environment as `export` lines, for a shell in which the API or a worker is run by
hand.
"""

import shlex
from collections.abc import Iterator, Mapping

_SECRET = "DARKROOM_INTERNAL_TOKEN"  # noqa: S105 - the variable's name


def shell_exports(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield an `export` line per variable, without the internal token."""
    for name, value in environment.items():
        if name != _SECRET:
            yield f"export {name}={shlex.quote(value)}"
