"""The metrics of the API and the workers, fetched from their endpoints and formatted for a
terminal.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from local_stack.loopback import LOOPBACK, send

METRICS_SUFFIX = "-metrics"
"""Suffix of a process's metrics port in the stack's state."""
_PREFIXES = ("darkroom_", "http_", "messaging_", "hw_")
_TIMEOUT_SECONDS = 5.0


def fetch_metrics(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the metrics text of each process by name, without processes that do not respond."""
    urls = {
        name.removesuffix(METRICS_SUFFIX): f"http://{LOOPBACK}:{port}/metrics"
        for name, port in ports.items()
        if name.endswith(METRICS_SUFFIX)
    }
    with ThreadPoolExecutor(max_workers=max(1, len(urls))) as pool:
        texts = pool.map(_fetch, urls.values())
        return {name: text for name, text in zip(urls, texts, strict=True) if text is not None}


def format_metrics(text: str) -> Iterator[str]:
    """Yield a line per darkroom metric and label set; for histograms the count and the mean."""
    for family in text_string_to_metric_families(text):
        if not family.name.startswith(_PREFIXES):
            continue
        if family.type == "histogram":
            yield from _format_histogram(family.name, family.samples)
        else:
            yield from (
                _line(family.name, sample.labels, f"{sample.value:.6g}")
                for sample in family.samples
                if not sample.name.endswith("_created")
            )


def _format_histogram(name: str, samples: Iterable[Sample]) -> Iterator[str]:
    sums = {
        frozenset(sample.labels.items()): sample.value for sample in samples if sample.name == f"{name}_sum"
    }
    for sample in samples:
        if sample.name == f"{name}_count" and sample.value:
            mean = sums[frozenset(sample.labels.items())] / sample.value
            yield _line(name, sample.labels, f"{sample.value:.0f} values, mean {mean:.4g}")


def _line(name: str, labels: Mapping[str, str], value: str) -> str:
    shown = ", ".join(f"{label}={labels[label]}" for label in sorted(labels))
    return f"{name}{{{shown}}}  {value}" if shown else f"{name}  {value}"


def _fetch(url: str) -> str | None:
    try:
        response = send(url, timeout_seconds=_TIMEOUT_SECONDS)
    except OSError:
        return None
    return response.text if response.status == 200 else None
