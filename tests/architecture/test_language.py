"""Prose is plain technical English: it contains none of the phrases in PHRASES.

Prose is Markdown outside code, docstrings, comments, and the longer strings of the product.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PHRASES = {
    # Actors and pronouns
    r"(?:no|some|any|every)body": "name the actor: the caller, the worker, the operator",
    r"who(?:m|so)?ever": "name the actor: any caller, any worker",
    r"(?:those|he|they) who": "name the actor: callers that …",
    r"who asks": "the caller",
    # Verbs of communication
    r"told|tells?(?! \w+ (?:\w+ )?apart)|telling": "returns, reports, publishes, logs, shows, sends, receives",
    r"(?:says?|said) (?:so|nothing)|(?:is|are) said": "states, reports, contains",
    r"is heard|hears?|heard of": "receives, reads",
    # Verbs of perception and mind
    r"looked at|looks? (?:again|once)|takes? a look": "reads, polls, refreshes",
    r"believe[sd]?|believing": "assumes, accepts",
    r"forgets?|forgotten|forgot": "evicts, deletes, omits",
    r"patience|patient(?:ly)?": "timeout, retry with backoff",
    r"guilty|innocent|to blame|takes? the blame": "caused the failure",
    # States and places
    r"stands? (?:in|under|there|beside|for itself|still|on a page)|stood": "is, is stored, does not change",
    r"(?:lies?|lay) (?:in|under|there|beside|about)": "is, is stored",
    r"(?:is|are) (?:away|gone|well(?=[.,;:]))": "is ok, is unavailable, was deleted",
    r"in the hands of|at hand": "owned by, available",
    r"door": "port, permission",
    r"news": "event, update",
    # Adverbs and conjunctions
    r"anew|afresh": "again",
    r"lest": "so that … not",
    r"thereby|therein|thereof|whereby|hitherto|henceforth": "split the sentence",
    r"of (?:its|their) own accord": "automatically",
    r"(?<=[,;] )for (?:it|that|this) is": "because",
    r"from where on|how manyeth": "threshold; attempt number",
    r"come what may|a moment later|as good as|at its word": "use the exact condition or time",
    # Effort and fate
    r"goes? on|went on": "continues",
    r"asked for": "requested",
    r"looks? after|how (?:it|everything) stands": "manages; the state of the system",
    r"in vain|for nothing|ever more": "without result; a growing number",
    r"however (?:it|they)": "regardless of …",
    r"(?:given|gives?|gave|giving) up on": "abandoned, failed",
    r"outwait\w*|sat out|sits? out": "wait, time out",
    r"foret(?:ell|old)\w*": "predict",
    r"c[ao]me?s? true": "match the prediction",
    r"wants? you": "needs an operator",
    r"buried|bury": "handle the exit of",
    r"put(?:s|ting)? (?:down|into words)": "records, serializes",
    r"not(?:e|ed|es) down": "records, stores",
    r"mend(?:s|ed|ing)?": "fixes",
    r"the world": "the system, the environment",
}
"""Regular expressions of phrases to avoid, and what to write instead."""

_ANY = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)
_EACH = [(re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE), advice) for phrase, advice in PHRASES.items()]
_CODE = re.compile(r"`[^`\n]*`|https?://\S+")
_HASH = re.compile(r"(?:^|\s)#[ !]?(.*)|\"((?:[^\"\\]|\\.){15,})\"")
_SLASH = re.compile(
    r"(?:^|\s)//(.*)|/\*(.*?)\*/|^\s*\*(.*)|(?:\"([^\"]{15,})\"|'([^']{15,})'|`([^`]{15,})`)|>([^<>{}]+)<"
)
WITH_HASH_COMMENTS = {".tf", ".hcl", ".sh", ".toml", ""}
WITH_SLASH_COMMENTS = {".ts", ".js", ".mjs", ".css", ".html"}
SUFFIXES = {".md", ".py", ".yaml", ".yml", *WITH_HASH_COMMENTS, *WITH_SLASH_COMMENTS}
SHORTEST_STRING = 4
"""Strings of fewer words are identifiers, patterns or test data more often than prose."""


def python_prose(text: str, *, strings: bool) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield from lines_of(node.value, shortest=1)
        elif strings and isinstance(node, ast.Constant):
            yield from lines_of(node, shortest=SHORTEST_STRING)


def lines_of(constant: ast.Constant, *, shortest: int) -> Iterator[tuple[int, str]]:
    if isinstance(constant.value, str) and len(constant.value.split()) >= shortest:
        yield from enumerate(constant.value.splitlines(), constant.lineno)


def markdown_prose(text: str) -> Iterator[tuple[int, str]]:
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def matched_prose(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for found in pattern.finditer(line):
            yield number, " ".join(group for group in found.groups() if group)


def prose(path: Path, text: str) -> Iterator[tuple[int, str]]:
    if path.suffix == ".md":
        yield from markdown_prose(text)
    elif path.suffix in {".yaml", ".yml"}:
        yield from enumerate(text.splitlines(), 1)
    elif path.suffix == ".py":
        yield from python_prose(text, strings="tests" not in path.parts)
    elif path.suffix in WITH_SLASH_COMMENTS:
        yield from matched_prose(_SLASH, text)
    elif path.suffix in WITH_HASH_COMMENTS:
        yield from matched_prose(_HASH, text)


def findings(path: Path, text: str) -> set[str]:
    if not _ANY.search(text):
        return set()
    return {
        f"{path}:{number}: {found.group()!r}: write instead: {advice}"
        for number, line in prose(path, text)
        for pattern, advice in _EACH
        for found in pattern.finditer(_CODE.sub(" ", line))
    }


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(name) for name in listed.stdout.splitlines()]


def test_prose_contains_no_phrase_to_avoid() -> None:
    found: set[str] = set()
    for path in tracked_files():
        if path.suffix in SUFFIXES and path.name != Path(__file__).name and (ROOT / path).is_file():
            found |= findings(path, (ROOT / path).read_text())
    assert sorted(found) == []


@pytest.mark.parametrize(
    ("path", "text", "phrases"),
    [
        ("page.md", "The caller\nis told.", 1),
        ("page.md", "`whoever`, and https://example.com/news\n```\nnobody\n```", 0),
        ("module.py", '"""Publish anew."""', 1),
        ("module.py", "x = 1  # lest it grow", 1),
        ("module.py", 'raise ValueError("nobody may submit more")', 1),
        ("module.py", 'nobody = "told"', 0),
        ("tests/test_module.py", 'text = "nobody may submit more"', 0),
        ("page.ts", "/** Whoever reads this. */", 1),
        ("page.ts", 'say("No answer: somebody is there.")', 1),
        ("page.ts", "const door = 1;", 0),
        ("main.tf", 'title = "Who is told of an alert"', 1),
        ("main.tf", "name = local.door # of the API", 0),
        ("values.yaml", "title: A task that nobody claims", 1),
    ],
)
def test_findings_cover_prose_only(path: str, text: str, phrases: int) -> None:
    assert len(findings(Path(path), text)) == phrases
