"""Text as the terminal shows it."""

import json
from datetime import datetime, timezone

import pytest

from darkroom.cli.output import age, facts, one_line, print_json, table
from darkroom.errors import printable

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def test_printable_escapes_control_characters() -> None:
    assert printable("a\x1b[31m\tb\nc\u202ed é") == "a\\x1b[31m\\tb\nc\\u202ed é"


def test_json_escapes_control_characters_and_keeps_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"prompt": "a\x9b2J\x7f\u202e\U000e0001é\n", "list": [1]}
    print_json(value)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert all(char.isprintable() or char == "\n" for char in printed)
    assert "é" in printed


def test_one_line_shortens_and_joins_lines() -> None:
    assert one_line("a\n b\tc", at_most=80) == "a b c"
    assert one_line("x" * 90, at_most=80) == "x" * 79 + "…"


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2026-01-01T12:00:01+00:00", "0 s ago"),
        ("2026-01-01T11:59:01+00:00", "59 s ago"),
        ("2026-01-01T11:59:00+00:00", "1 min ago"),
        ("2026-01-01T09:30:00+00:00", "2 h ago"),
        ("2025-12-25T09:30:00+00:00", "7 d ago"),
    ],
)
def test_age_uses_the_largest_unit(timestamp: str, text: str) -> None:
    assert age(datetime.fromisoformat(timestamp), NOW) == text


def test_table_fits_columns_to_their_cells() -> None:
    assert table(("A", "LONG"), [("aaa", "b"), ("c", "d")]) == "A    LONG\naaa  b\nc    d"


def test_text_of_a_server_adds_no_rows() -> None:
    assert table(("A", "B"), [("a\nfake", "b")]) == "A        B\na\\nfake  b"
    assert facts({"prompt": "a\nstatus  fake", "seed": "1"}) == "prompt  a\n        status  fake\nseed    1"
