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
    text = ""
    for chunk in chunks:
        text += chunk
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            yield ServerSentEvent(**fields)
