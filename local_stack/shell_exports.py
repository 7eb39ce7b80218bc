"""The stack's environment as lines for a shell in which the API or a worker is run by hand."""

import shlex
from collections.abc import Iterator, Mapping

_SECRET = "DARKROOM_INTERNAL_TOKEN"  # noqa: S105 - the variable's name


def shell_exports(environment: Mapping[str, str]) -> Iterator[str]:
    """One `export` line for each variable, quoted for a POSIX shell; the internal token is left out."""
    for name, value in environment.items():
        if name != _SECRET:
            yield f"export {name}={shlex.quote(value)}"
