"""A parser for the parts of server-sent events that the tests need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    """One event; a comment has neither name nor data."""

    event: str | None = None
    id: str | None = None
    data: str | None = None

    @property
    def is_comment(self) -> bool:
        return self.data is None


def events_of(chunks: Iterable[str]) -> Iterator[ServerSentEvent]:
    """Yield the events and comments in the chunks of a stream."""
    text, fields = "", dict[str, str]()
    for chunk in chunks:
        *lines, text = (text + chunk).split("\n")
        for line in lines:
            if line.startswith(":"):
                yield ServerSentEvent()
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                yield ServerSentEvent(**fields)
                fields.clear()
