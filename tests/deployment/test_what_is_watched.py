"""Dashboards and alerts speak of metrics that there are, and every row of the runbook has an alert or needs none."""

import re

import pytest

from common.observability.metrics import ALL_METRICS, MetricKind
from tests.deployment.terraform_files import TERRAFORM, text

RUNBOOK = (TERRAFORM.parent / "docs" / "runbook.md").read_text()
SERIES = {
    f"{metric.name}{suffix}": metric
    for metric in ALL_METRICS
    for suffix in (("_bucket", "_count", "_sum") if metric.kind is MetricKind.HISTOGRAM else ("",))
}
NO_METRIC_SHOWS_IT = {
    "An API key has leaked.",
    "Everything is answered with `untrusted_host`, or changes with `foreign_origin`.",
}
"""Somebody has to notice the first; the second is about one machine."""


def queries(name: str) -> str:
    """A file's text with the quotes of its queries as PromQL has them."""
    return text(name).replace('\\"', '"')


def asked_for(name: str) -> list[tuple[str, list[str]]]:
    """Every series of darkroom's own that a file's queries name, with the labels that select from it."""
    selectors = re.findall(r'\{"([a-z._]+)"((?:, (?:"[\w.]+"|\w+)(?:=~|!=|=)"[^"]*")*)\}', queries(name))
    return [(series, re.findall(r', "?([\w.]+)"?(?:=~|!=|=)', labels)) for series, labels in selectors]


@pytest.mark.parametrize("name", ["alerts.tf", "dashboards.tf"])
def test_only_what_is_measured_is_asked_for(name: str) -> None:
    asked = asked_for(name)
    assert len(asked) > 20
    for series, labels in asked:
        assert series in SERIES, series
        assert set(labels) <= set(SERIES[series].attributes), (series, labels)


def test_everything_that_is_measured_is_on_the_dashboard() -> None:
    shown = {SERIES[series].name for series, _ in asked_for("dashboards.tf")}
    assert shown == {metric.name for metric in ALL_METRICS}


def runbook_rows() -> set[str]:
    return set(re.findall(r"^\*\*([^*]+)\*\*", RUNBOOK, re.MULTILINE))


def rows_with_an_alert() -> set[str]:
    named = set(re.findall(r'^\s*runbook\s*=\s*"([^"$]+)"', text("alerts.tf"), re.MULTILINE))
    codes = re.findall(r"^    (\w+)\s*= \{ title", text("alerts.tf"), re.MULTILINE)
    return named | {f"`{code}`." for code in codes}


def test_every_row_of_the_runbook_has_an_alert() -> None:
    assert runbook_rows() - rows_with_an_alert() == NO_METRIC_SHOWS_IT


def test_every_alert_names_a_row_of_the_runbook() -> None:
    missing = [row for row in rows_with_an_alert() if row not in RUNBOOK]
    assert not missing
