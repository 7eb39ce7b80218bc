"""The filter language of Pub/Sub subscriptions."""

import pytest

from local_stack.pubsub_proxy.subscription_filter import InvalidFilterError, parse_filter

DEMO = {"model": "demo", "lane": "interactive"}


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("", True),
        ("   ", True),
        ('attributes.model = "demo"', True),
        ('attributes.model="other"', False),
        ('attributes.model != "other"', True),
        ('attributes.missing != "x"', True),
        ("attributes:lane", True),
        ("attributes:missing", False),
        ('hasPrefix(attributes.lane, "inter")', True),
        ('hasPrefix(attributes.lane, "x")', False),
        ('hasPrefix(attributes.missing, "")', False),
        ("NOT attributes:lane", False),
        ("-attributes:missing", True),
        ("NOT NOT attributes:lane", True),
        ('attributes:lane AND attributes.model = "demo" AND NOT attributes:missing', True),
        ('attributes:missing OR attributes.model = "demo"', True),
        ('(attributes:missing OR attributes:lane) AND attributes.model = "demo"', True),
        ("NOT (attributes:missing OR attributes:lane)", False),
        ('attributes."model" = "demo"', True),
    ],
)
def test_an_expression_decides_by_the_attributes(expression: str, passes: bool) -> None:
    assert parse_filter(expression)(DEMO) is passes


def test_quotes_and_backslashes_in_strings_are_escaped() -> None:
    assert parse_filter(r'attributes."a b" = "say \"no\" \\"')({"a b": r'say "no" \\'[:-1]})


@pytest.mark.parametrize(
    "expression",
    [
        "nonsense",
        "attributes.model",
        "attributes.model = demo",
        'attributes.model = "demo',
        'attributes.model == "demo"',
        "attributes:a AND attributes:b OR attributes:c",
        "attributes:a and attributes:b",
        "(attributes:a",
        "attributes:a)",
        "attributes:a AND",
        'hasPrefix(attributes.a "x")',
        "attributes:(",
        "#",
        f'attributes.model = "{"x" * 256}"',
    ],
)
def test_what_is_not_in_the_language_is_refused(expression: str) -> None:
    with pytest.raises(InvalidFilterError):
        parse_filter(expression)
