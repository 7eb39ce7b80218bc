"""The table of failure codes, and its copies for callers and operators."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.domain.failures import FAILURES, FailureCode

ROOT = Path(__file__).parents[4]
PRODUCTION = [
    path for name in ("common", "frontend_api", "gpu_subscriber") for path in (ROOT / name).rglob("*.py")
]


def test_every_code_is_in_the_table() -> None:
    assert list(FAILURES) == list(FailureCode)


@pytest.mark.parametrize("code", FailureCode)
def test_failure_has_the_text_of_the_table(code: FailureCode) -> None:
    failure = code.failure()
    assert (failure.code, failure.retryable) == (str(code), FAILURES[code].retryable)
    assert re.fullmatch(r"[A-Z][^.]*\.", failure.message)
    assert code.failure("SIGSEGV").message == f"{failure.message[:-1]}: SIGSEGV."


def failures_made() -> Iterator[tuple[str, ast.Call]]:
    for path in PRODUCTION:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure":
                yield path.name, node


def test_no_failure_is_made_with_a_code_of_its_own() -> None:
    made = list(failures_made())
    assert "failures.py" in {name for name, _ in made}
    own = [
        (name, ast.unparse(call)) for name, call in made if isinstance(call.keywords[0].value, ast.Constant)
    ]
    assert own == []


def test_the_documentation_has_the_table() -> None:
    text = (ROOT / "docs/api/errors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (yes|no) \|$", text, re.MULTILINE)
    assert rows == [
        (code.value, kind.message, "yes" if kind.retryable else "no") for code, kind in FAILURES.items()
    ]
