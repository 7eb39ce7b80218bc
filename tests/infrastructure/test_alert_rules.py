"""The alerts and the dashboard use existing metrics; the runbook has an entry for every alert."""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import promql_parser
import pytest
import yaml

from common.domain.failures import FailureCode
from common.observability.metrics import ALL_METRICS, MetricKind
from common.shared_values import SHARED, read_shared_file
from frontend_api.operations.alerts import ALERT_RULES
from frontend_api.operations.status import HALF_HOUR, HOUR
from frontend_api.rescue.policy import Verdict
from tests.infrastructure.terraform_files import TERRAFORM
from tests.unit.frontend_api.conftest import Api

ALERTS: Mapping[str, dict[str, Any]] = read_shared_file("alert_rules.yaml")
QUERIES = {
    "alerts": [rule["query"] for rule in ALERTS.values()],
    "dashboard": [
        query
        for chart in yaml.safe_load((TERRAFORM / "dashboard.yaml").read_text())
        for query in chart["lines"].values()
    ],
}
LIMITS = set(SHARED.alert_limits.model_dump())
NUMBERS = LIMITS | {"tolerated_failures", "fast_burn", "slow_burn"}
RUNBOOK = (TERRAFORM.parent / "docs" / "operating" / "runbook.md").read_text()
SERIES = {
    f"{metric.name}{suffix}": metric
    for metric in ALL_METRICS
    for suffix in (("_bucket", "_count", "_sum") if metric.kind is MetricKind.HISTOGRAM else ("",))
}
WITHOUT_ALERT = {
    "Responses 403, 404 and 429 without a problem document",
    "Full disk of the local stack",
    "Leaked API key",
    "Responses 408 and 503 `server_busy`",
    "Restarts on the local stack",
    "Stopped local stack",
    "Workers restarted by Kubernetes",
    "Workers that exit with 78",
    "Workers without a node",
    "`invalid_input`",
    "`clock_is_wrong` in the log",
    "`model_not_served` in the log",
    "`models_in_no_pool` in the log",
    "`removal_cost_not_said` in the log",
    "`rescue_running`",
    "`unclaimed`",
    "`untrusted_host` and `foreign_origin`",
}
"""Entries without a metric of their own; the alert for `deadline_exceeded` covers `unclaimed`."""
both = pytest.mark.parametrize(
    "queries", [pytest.param(queries, id=name) for name, queries in QUERIES.items()]
)


def placeholders(text: str) -> set[str]:
    return set(Template(text).get_identifiers())


def selectors(queries: list[str]) -> list[tuple[str, list[str]]]:
    """Return darkroom's series in the queries, with the labels that select from each."""
    found = re.findall(r'\{"([a-z._]+)"((?:, (?:"[\w.]+"|\w+)(?:=~|!=|=)"[^"]*")*)\}', "\n".join(queries))
    return [(series, re.findall(r', "?([\w.]+)"?(?:=~|!=|=)', labels)) for series, labels in found]


@both
def test_queries_are_valid_promql(queries: list[str]) -> None:
    assert len(queries) > 20
    for query in queries:
        values = {name: "1" if name in NUMBERS else "up" for name in placeholders(query)}
        promql_parser.parse(Template(query).safe_substitute(values))


@both
def test_queries_use_existing_metrics_and_attributes(queries: list[str]) -> None:
    found = selectors(queries)
    assert len(found) > 20
    for series, labels in found:
        assert series in SERIES, series
        assert set(labels) <= set(SERIES[series].attributes), (series, labels)


def test_alerts_select_values_that_the_processes_record() -> None:
    """An alert on a value that is never recorded never fires."""
    queries = "\n".join(QUERIES["alerts"])
    verdicts = "|".join(re.findall(r'verdict=~?"([^"]+)"', queries)).split("|")
    assert verdicts
    assert set(verdicts) <= set(Verdict)
    routes = set(re.findall(r'"http\.route"="([^"]+)"', queries))
    assert routes
    assert routes <= {str(rule) for rule in Api(folder=Path()).app.url_map.iter_rules()}
    codes = set(re.findall(r'"error\.type"="([^"]+)"', queries))
    assert codes
    assert codes <= set(FailureCode)


def test_dashboard_shows_every_metric() -> None:
    shown = {SERIES[series].name for series, _ in selectors(QUERIES["dashboard"])}
    assert shown == {metric.name for metric in ALL_METRICS}


def test_runbook_has_an_entry_for_every_alert() -> None:
    entries = set(re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE))
    assert {rule["runbook"] for rule in ALERTS.values()} == entries - WITHOUT_ALERT


@pytest.mark.parametrize("name", ALERTS)
def test_alert_rule_is_complete(name: str) -> None:
    rule = ALERTS[name]
    required = {"title", "severity", "runbook", "duration_seconds", "description", "query"}
    assert required <= set(rule) <= required | {"cloud_run_only", "cluster_only", "page_title"}
    assert ("page_title" in rule) == (name in {shown.name for shown in ALERT_RULES})
    assert rule["severity"] in ("CRITICAL", "ERROR", "WARNING")


@pytest.mark.parametrize(
    ("name", "limits", "ranges"),
    [
        ("no_worker", set(), set()),
        ("model_unavailable", set(), {"15m"}),
        ("oldest_waits", {"oldest_seconds"}, set()),
        ("dead_letters", set(), {"15m"}),
        ("tasks_fail", {"failed_share"}, {"30m"}),
        ("backlog_grows", {"waiting_tasks"}, {"30m:1m"}),
        ("seconds_wasted", {"wasted_share"}, {"1h"}),
    ],
)
def test_page_evaluates_an_alert_like_its_query(name: str, limits: set[str], ranges: set[str]) -> None:
    """The page compares the same limits over the same times, as far as the store has a history."""
    query = ALERTS[name]["query"]
    assert placeholders(query) & LIMITS == limits
    assert set(re.findall(r"\[([\w:]+)\]", query)) == ranges
    assert name in {rule.name for rule in ALERT_RULES}
    assert (HALF_HOUR.total_seconds(), HOUR.total_seconds()) == (30 * 60, 3_600)
