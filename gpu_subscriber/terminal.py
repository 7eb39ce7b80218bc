"""Messages of the worker's commands. Their texts may come from files of other people."""

import sys


def report(text: str) -> None:
    """Write a line to stderr. Characters that would control the terminal are escaped."""
    shown = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
    print(shown, file=sys.stderr, flush=True)  # noqa: T201 (a command writes to its terminal)
