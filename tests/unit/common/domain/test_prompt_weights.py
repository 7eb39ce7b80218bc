"""The syntax of weights in prompts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.domain.prompt_weights import MAX_DEPTH, MAX_WEIGHT, fragments_of


def weights(prompt: str) -> list[tuple[str, float]]:
    return [(fragment.text, round(fragment.weight, 3)) for fragment in fragments_of(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red fox", [("a red fox", 1)]),
        ("a (red:1.3) fox", [("a ", 1), ("red", 1.3), (" fox", 1)]),
        ("a (red) fox", [("a ", 1), ("red", 1.1), (" fox", 1)]),
        ("a [red] fox", [("a ", 1), ("red", 0.909), (" fox", 1)]),
        ("((red)) [[fox]]", [("red", 1.21), (" ", 1), ("fox", 0.826)]),
        ("(a (red:2) fox:1.5)", [("a ", 1.5), ("red", 3), (" fox", 1.5)]),
        ("(red: .5 )", [("red", 0.5)]),
        ("(red:0) fox", [("red", 0), (" fox", 1)]),
        ("(red fox", [("red fox", 1.1)]),
        ("red) fox]", [("red) fox]", 1)]),
        (r"a \(red\) fox \[\\\]", [("a (red) fox [\\]", 1)]),
        ("12:30, 3:2", [("12:30, 3:2", 1)]),
        ("(a: b)", [("a: b", 1.1)]),
        ("[red:0.5]", [("red:0.5", 0.909)]),
        ("(red:-1)", [("red:-1", 1.1)]),
        ("(red:1.5", [("red:1.5", 1.1)]),
        ("(" * 40 + "a" + ")" * 40, [("a", 10)]),
        ("[" * 40 + "a" + "]" * 40 + " b", [("a", round(1.1**-MAX_DEPTH, 3)), (" b", 1)]),
        ("[" * 40 + "a", [("a", round(1.1**-MAX_DEPTH, 3))]),
        ("()", []),
        ("", []),
    ],
)
def test_prompt_is_split_into_weighted_fragments(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert weights(prompt) == expected


def test_weights_have_a_greatest_value() -> None:
    for prompt in ("(" * 900 + "x" + ")" * 900, "(x:99)", "(x:" + "9" * 900 + ")"):
        assert [fragment.weight for fragment in fragments_of(prompt)] == [MAX_WEIGHT]


@pytest.mark.parametrize("part", ["(", "(a", "[a(b", ":", "(a)", "((a:1.3))"])
def test_long_prompts_of_brackets_are_split_without_quadratic_work(part: str) -> None:
    """With quadratic work, the longest of these would take minutes."""
    prompt = (part * 100_000)[:100_000]
    fragments = fragments_of.__wrapped__(prompt)
    assert sum(len(fragment.text) for fragment in fragments) <= len(prompt)


@given(st.text(alphabet="ab ()[]:\\.19-🦊", max_size=60))
def test_each_character_keeps_its_place(prompt: str) -> None:
    fragments = fragments_of(prompt)
    for fragment in fragments:
        assert "".join(prompt[place] for place in fragment.places) == fragment.text
        assert math.isfinite(fragment.weight)
        assert fragment.weight >= 0
    places = [place for fragment in fragments for place in fragment.places]
    assert places == sorted(set(places))
