"""Commands in the pages for operators work as they are written."""

import re

import pytest

from tests.unit.docs.test_pages import PAGES, ROOT

TEXTS = {name: (ROOT / name).read_text().replace("\\\n", " ") for name in PAGES}


def commands(start: str) -> list[str]:
    """Return the commands of all pages that begin with the pattern, up to the end of their line or code."""
    return [command for text in TEXTS.values() for command in re.findall(rf"{start}[^\n`]*", text)]


def test_identity_tokens_contain_the_email_that_the_api_requires() -> None:
    tokens = commands("gcloud auth print-identity-token")
    assert len(tokens) >= 2
    assert [command for command in tokens if "--include-email" not in command] == []


@pytest.mark.parametrize("verb", ["delete", "describe", "get", "logs", "port-forward", "rollout"])
def test_kubectl_names_the_namespace(verb: str) -> None:
    assert commands(f"kubectl -n [a-z]+ {verb} ")
    assert commands(f"kubectl {verb} ") == []
