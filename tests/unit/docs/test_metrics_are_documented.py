"""docs/operating/observability.md lists exactly the existing metrics."""

import re
from pathlib import Path

import pytest

from common.observability import metrics
from common.observability.metrics import ALL_METRICS, Metric, MetricKind

ROOT = Path(__file__).parents[3]
EMITTERS = {"API": "frontend_api", "worker": "gpu_subscriber"}


def listed() -> dict[str, tuple[str, ...]]:
    """Return kind, unit, attributes and emitter by name, from every row of a metric."""
    rows = re.findall(
        r"^\| `([a-z._]+)` \| (\w+) \| `([^`]+)` \|([^|]*)\| ([^|]+) \|",
        (ROOT / "docs" / "operating" / "observability.md").read_text(),
        re.MULTILINE,
    )
    return {name: rest for name, *rest in rows}


def names_of(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", text))


def constant_of(metric: Metric) -> str:
    (name,) = (name for name, value in vars(metrics).items() if value is metric)
    return name


def test_documents_list_every_metric() -> None:
    assert set(listed()) == {metric.name for metric in ALL_METRICS}


@pytest.mark.parametrize("metric", ALL_METRICS, ids=lambda metric: metric.name)
def test_metric_is_documented_with_its_definition(metric: Metric) -> None:
    kind, unit, attributes, _ = listed()[metric.name]
    assert (kind, unit) == (metric.kind.value, metric.unit)
    assert names_of(attributes) == metric.attributes


def test_only_histograms_have_bounds() -> None:
    for metric in ALL_METRICS:
        assert bool(metric.bounds) == (metric.kind is MetricKind.HISTOGRAM), metric.name
        assert list(metric.bounds) == sorted(set(metric.bounds)), metric.name


@pytest.mark.parametrize("metric", ALL_METRICS, ids=lambda metric: metric.name)
def test_metric_is_emitted_by_its_documented_process(metric: Metric) -> None:
    users = {
        emitter
        for emitter, package in EMITTERS.items()
        for place in (package, "common/observability")
        for path in (ROOT / place).rglob("*.py")
        if path != ROOT / "common/observability/metrics.py"
        and re.search(rf"\b{constant_of(metric)}\b", path.read_text())
    }
    assert users == set(listed()[metric.name][3].strip().split(", "))
