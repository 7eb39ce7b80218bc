"""Metrics have one owner each, a unit and a meaning."""

from common.observability.metrics import ALL_METRICS


def test_metric_names_are_unique_and_say_what_they_mean() -> None:
    assert len({metric.name for metric in ALL_METRICS}) == len(ALL_METRICS)
    assert all(metric.meaning.endswith(".") and metric.unit for metric in ALL_METRICS)
