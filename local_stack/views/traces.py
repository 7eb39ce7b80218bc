"""Read the spans that a stack with --observe writes, and format them by trace."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. Ids are hexadecimal; `links` are pairs of trace id and span id."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    process: str
    began_at: datetime
    ended_at: datetime
    attributes: Mapping[str, Any]
    events: tuple[str, ...]
    links: tuple[tuple[str, str], ...]

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.began_at).total_seconds()


def read_spans(folder: Path) -> tuple[Span, ...]:
    """Return all spans by start time. Skips the incomplete lines of killed processes."""
    spans = [
        _parse(json.loads(line))
        for path in folder.glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("}\n")
    ]
    return tuple(sorted(spans, key=lambda span: span.began_at))


def format_traces(spans: Iterable[Span], *, count: int) -> Iterator[str]:
    """Yield the lines of the latest traces of tasks: each span below its parent."""
    by_trace: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id].append(span)
    of_tasks = [trace for trace in by_trace.values() if any(span.kind == "CONSUMER" for span in trace)]
    for trace in of_tasks[-count:]:
        yield f"trace {trace[0].trace_id}, {trace[0].began_at:%H:%M:%S}"
        known = {span.span_id for span in trace}
        for root in trace:
            if root.parent_id not in known:
                yield from _format(root, trace, since=trace[0].began_at, depth=1)


def _format(span: Span, trace: list[Span], *, since: datetime, depth: int) -> Iterator[str]:
    offset = (span.began_at - since).total_seconds()
    events = f"  [{', '.join(span.events)}]" if span.events else ""
    yield f"{'  ' * depth}{offset:7.3f} s +{span.seconds:.3f} s  {span.process}: {span.name}{events}"
    for child in trace:
        if child.parent_id == span.span_id:
            yield from _format(child, trace, since=since, depth=depth + 1)


def _parse(span: Mapping[str, Any]) -> Span:
    context, parent = span["context"], span["parent_id"]
    return Span(
        trace_id=_hex(context["trace_id"]),
        span_id=_hex(context["span_id"]),
        parent_id=None if parent is None else _hex(parent),
        name=span["name"],
        kind=span["kind"].removeprefix("SpanKind."),
        process=span["resource"]["attributes"]["service.name"],
        began_at=datetime.fromisoformat(span["start_time"]),
        ended_at=datetime.fromisoformat(span["end_time"]),
        attributes=span["attributes"],
        events=tuple(event["name"] for event in span["events"]),
        links=tuple(
            (_hex(link["context"]["trace_id"]), _hex(link["context"]["span_id"])) for link in span["links"]
        ),
    )


def _hex(identifier: str) -> str:
    return identifier.removeprefix("0x")
