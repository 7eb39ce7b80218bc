"""Dashboards and alerts use existing metrics; the runbook has an entry for every alert."""

import re
from pathlib import Path

import promql_parser
import pytest

from common.observability.metrics import ALL_METRICS, MetricKind
from frontend_api.operations.alerts import ALERT_RULES, FEW_FAILURES, AlertLimits, AlertRule
from frontend_api.operations.status import HALF_HOUR, HOUR
from frontend_api.rescue.policy import Verdict
from frontend_api.settings import ApiSettings
from tests.infrastructure.terraform_files import TERRAFORM, local, seconds, text
from tests.unit.frontend_api.conftest import Api

RUNBOOK = (TERRAFORM.parent / "docs" / "operating" / "runbook.md").read_text()
SERIES = {
    f"{metric.name}{suffix}": metric
    for metric in ALL_METRICS
    for suffix in (("_bucket", "_count", "_sum") if metric.kind is MetricKind.HISTOGRAM else ("",))
}
WITHOUT_ALERT = {
    "Leaked API key",
    "Responses 408 and 503 `server_busy`",
    "Restarts on the local stack",
    "Stopped local stack",
    "Workers restarted by Kubernetes",
    "Workers that exit with 78",
    "`model_not_served` in the log",
    "`models_in_no_pool` in the log",
    "`removal_cost_not_said` in the log",
    "`unclaimed`",
    "`untrusted_host` and `foreign_origin`",
}
"""Entries without a metric of their own; the alert for `deadline_exceeded` covers `unclaimed`."""


def queries(name: str) -> str:
    """Return a file's text with the quotes of its queries as in PromQL."""
    return text(name).replace('\\"', '"')


def asked_for(name: str) -> list[tuple[str, list[str]]]:
    """Return darkroom's series in a file's queries, with the labels that select from each."""
    selectors = re.findall(r'\{"([a-z._]+)"((?:, (?:"[\w.]+"|\w+)(?:=~|!=|=)"[^"]*")*)\}', queries(name))
    return [(series, re.findall(r', "?([\w.]+)"?(?:=~|!=|=)', labels)) for series, labels in selectors]


def spoken(name: str) -> list[str]:
    """Return a file's queries as PromQL, with placeholder values for its variables."""
    read = text(name)
    for known, value in re.findall(r'^  (\w+)\s*= "((?:[^"\\]|\\.)*)"$', text("alerts.tf"), re.MULTILINE):
        read = read.replace(f"${{local.{known}}}", value)
    read = re.sub(r"\[(%s|\$\{window\})\]", "[5m]", read)
    read = re.sub(r"\$\{[^{}]*\}", "1", read)
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', read)
    return [each.replace('\\"', '"') for each in strings if '{\\"' in each or "_googleapis_com:" in each]


@pytest.mark.parametrize("name", ["alerts.tf", "dashboards.tf"])
def test_every_query_is_promql(name: str) -> None:
    assert len(spoken(name)) > 20
    for query in spoken(name):
        promql_parser.parse(query)


def test_a_broken_query_is_found() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse(spoken("alerts.tf")[-1].removesuffix(")") + "(")


@pytest.mark.parametrize("name", ["alerts.tf", "dashboards.tf"])
def test_only_what_is_measured_is_asked_for(name: str) -> None:
    asked = asked_for(name)
    assert len(asked) > 20
    for series, labels in asked:
        assert series in SERIES, series
        assert set(labels) <= set(SERIES[series].attributes), (series, labels)


def test_what_alerts_select_by_is_what_the_processes_say() -> None:
    """An alert on a value that is never recorded never fires."""
    asked = " ".join(spoken("alerts.tf"))
    verdicts = "|".join(re.findall(r'verdict=~?"([^"]+)"', asked)).split("|")
    assert verdicts
    assert set(verdicts) <= {verdict.value for verdict in Verdict}
    routes = set(re.findall(r'"http\.route"="([^"]+)"', asked))
    assert routes
    assert routes <= {str(rule) for rule in Api(folder=Path()).app.url_map.iter_rules()}


def test_everything_that_is_measured_is_on_the_dashboard() -> None:
    shown = {SERIES[series].name for series, _ in asked_for("dashboards.tf")}
    assert shown == {metric.name for metric in ALL_METRICS}


def runbook_entries() -> set[str]:
    return set(re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE))


def entries_of_alerts() -> set[str]:
    named = set(re.findall(r'^\s*runbook\s*=\s*"([^"$]+)"', text("alerts.tf"), re.MULTILINE))
    codes = re.findall(r"^    (\w+)\s*= \{ title", text("alerts.tf"), re.MULTILINE)
    return named | {f"`{code}`" for code in codes}


def test_runbook_has_an_entry_for_every_alert() -> None:
    assert entries_of_alerts() == runbook_entries() - WITHOUT_ALERT


# ── the same alerts in the API  ───────────────────────────────────────────────────────────────────────


def alert_of(rule: AlertRule) -> dict[str, str]:
    codes = local("alerts.tf", "failure_codes")
    if rule.name in codes:
        of_failures = {"runbook": f"`{rule.name}`", "lasts": "0s", "query": ""}
        return {**of_failures, **codes[rule.name]}
    alerts = local("alerts.tf", "queue_alerts") | local("alerts.tf", "task_alerts")
    alert: dict[str, str] = alerts[rule.name]
    return alert


@pytest.mark.parametrize("rule", ALERT_RULES, ids=lambda rule: rule.name)
def test_a_condition_is_an_alert(rule: AlertRule) -> None:
    alert = alert_of(rule)
    properties = (rule.title, rule.severity, rule.runbook, rule.lasts.total_seconds())
    assert properties == (alert["title"], alert["severity"], alert["runbook"], seconds(alert["lasts"]))


LIMIT_OF = {
    "backlog_grows": "waiting_tasks",
    "oldest_waits": "oldest_seconds",
    "tasks_fail": "failed_share",
    "seconds_wasted": "wasted_share",
}


def test_conditions_and_alerts_have_the_same_limits() -> None:
    variable = text("variables.tf")
    for name in LIMIT_OF.values():
        (default,) = re.findall(rf"{name}\s*= optional\(number, ([\d.]+)\)", variable)
        setting = ApiSettings.model_fields[f"alert_{name}"].default
        assert float(default) == setting == getattr(AlertLimits(), name), name
        given = local("api.tf", "api_environment")
        assert f"DARKROOM_ALERT_{name.upper()} = tostring(var.alert_limits.{name})" in given, name


@pytest.mark.parametrize("rule", ALERT_RULES, ids=lambda rule: rule.name)
def test_a_condition_is_measured_against_what_its_alert_is(rule: AlertRule) -> None:
    query = alert_of(rule)["query"]
    limits = set(re.findall(r"var\.alert_limits\.(\w+)", query))
    assert limits == ({LIMIT_OF[rule.name]} if rule.name in LIMIT_OF else set())


def test_conditions_look_as_far_back_as_their_alerts_do() -> None:
    queries = {rule.name: alert_of(rule)["query"] for rule in ALERT_RULES}
    assert (HALF_HOUR.total_seconds(), HOUR.total_seconds()) == (30 * 60, 3_600)
    assert "[30m:" in queries["backlog_grows"]
    assert set(re.findall(r"\[(\w+)\]", queries["tasks_fail"])) == {"30m"}
    assert set(re.findall(r"\[(\w+)\]", queries["seconds_wasted"])) == {"1h"}
    assert queries["tasks_fail"].endswith(f"> {FEW_FAILURES}")
