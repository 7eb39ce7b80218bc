"""Filters of Pub/Sub subscriptions."""

import pytest

from local_stack.pubsub_proxy.subscription_filter import InvalidFilterError, parse_filter

ATTRIBUTES = {"pool": "demo", "lane": "interactive"}


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("", True),
        ("   ", True),
        ('attributes.pool = "demo"', True),
        ('attributes.pool="other"', False),
        ('attributes.missing = "x"', False),
        ('attributes.missing = "x" OR attributes.pool = "demo"', True),
        ('attributes.missing = "x" OR attributes.pool = "other"', False),
        ('NOT (attributes.missing = "x" OR attributes.lane = "batch")', True),
        ('NOT (attributes.missing = "x" OR attributes.pool = "demo")', False),
    ],
)
def test_filter_decides_by_the_attributes(expression: str, passes: bool) -> None:
    assert parse_filter(expression)(ATTRIBUTES) is passes


@pytest.mark.parametrize(
    "expression",
    [
        "nonsense",
        "attributes.pool",
        "attributes.pool = demo",
        'attributes.pool = "demo',
        'attributes.pool == "demo"',
        'attributes.pool = "demo" OR',
        'attributes.pool = "a" or attributes.pool = "b"',
        'NOT (attributes.pool = "demo"',
        'attributes.pool = "demo" AND attributes.lane = "batch"',
        f'attributes.pool = "{"x" * 256}"',
    ],
)
def test_filter_is_rejected_when_it_is_not_supported(expression: str) -> None:
    with pytest.raises(InvalidFilterError):
        parse_filter(expression)
