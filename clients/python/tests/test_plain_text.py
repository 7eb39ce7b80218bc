"""Text as the terminal shows it."""

from datetime import datetime, timezone

import pytest

from darkroom.plain_text import age, one_line, printable, table

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def test_what_a_terminal_might_obey_is_spelled_out() -> None:
    assert printable("a\x1b[31m\tb\nc\u202ed é") == "a\\x1b[31m\\tb\nc\\u202ed é"


def test_one_line_is_one_line_of_bounded_length() -> None:
    assert one_line("a\n b\tc", at_most=80) == "a b c"
    assert one_line("x" * 90, at_most=80) == "x" * 79 + "…"


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-01-01T12:00:01+00:00", "0 s ago"),
        ("2026-01-01T11:59:01+00:00", "59 s ago"),
        ("2026-01-01T11:59:00+00:00", "1 min ago"),
        ("2026-01-01T09:30:00+00:00", "2 h ago"),
        ("2025-12-25T09:30:00+00:00", "7 d ago"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(moment: str, told: str) -> None:
    assert age(datetime.fromisoformat(moment), NOW) == told


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert table(("A", "LONG"), [("aaa", "b"), ("c", "d")]) == "A    LONG\naaa  b\nc    d"
