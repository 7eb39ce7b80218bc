"""Text for terminals: tables, ages, and untrusted text with visible control characters."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def printable(text: str) -> str:
    """Escape every non-printable character except line breaks."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def one_line(text: str, *, at_most: int) -> str:
    """Return the beginning of a text on one line."""
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= at_most else f"{flat[: at_most - 1]}…"


def age(moment: datetime, now: datetime) -> str:
    """Format the time since a moment in its largest unit."""
    passed = now - moment
    for name, unit in _UNITS:
        if passed >= unit:
            return f"{passed // unit} {name} ago"
    return f"{max(0, int(passed.total_seconds()))} s ago"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table. Each column is as wide as its longest cell."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def facts(known: Mapping[str, str]) -> str:
    """Format names and values, one pair per line; control characters are escaped."""
    width = max(len(printable(name)) for name in known)
    return "\n".join(f"{printable(name):<{width}}  {printable(value)}" for name, value in known.items())
