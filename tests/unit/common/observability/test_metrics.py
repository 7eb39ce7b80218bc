"""Every metric has one owner, a unit and a meaning."""

import re

from common.observability.metrics import ALL_METRICS


def test_metric_names_are_unique_and_described() -> None:
    assert len({metric.name for metric in ALL_METRICS}) == len(ALL_METRICS)
    assert all(metric.meaning.endswith(".") and metric.unit for metric in ALL_METRICS)


def test_metric_names_are_valid_for_google_cloud() -> None:
    """Points with other names are rejected:
    https://docs.cloud.google.com/stackdriver/docs/otlp-metrics/overview.
    """
    for metric in ALL_METRICS:
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_:./]*", metric.name)
        assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.]*", label) for label in metric.attributes)
