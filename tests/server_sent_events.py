"""Reads server-sent events as the standard has it, so far as tests need it."""

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
    """The events and comments that the chunks of a stream carry."""
    text = ""
    for chunk in chunks:
        text += chunk
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            yield ServerSentEvent(**fields)
