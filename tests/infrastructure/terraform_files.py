"""The source of terraform/, for tests that compare it with code, manifests and documents."""

import functools
import re
from pathlib import Path
from typing import Any

import hcl2

TERRAFORM = Path(__file__).parents[2] / "terraform"


@functools.cache
def text(name: str) -> str:
    """Return the text of a file."""
    return (TERRAFORM / name).read_text()


@functools.cache
def parsed(name: str) -> dict[str, Any]:
    """Return a file as nested dicts and lists; computed values stay strings like `${local.topics}`."""
    read: dict[str, Any] = _plain(hcl2.loads(text(name)))
    return read


def block(name: str, kind: str, *labels: str) -> dict[str, Any]:
    """Return the block of this kind and these labels in a file."""
    for found in parsed(name).get(kind, []):
        inner: Any = found
        for label in labels:
            inner = inner.get(label) if isinstance(inner, dict) else None
        if inner is not None:
            content: dict[str, Any] = inner
            return content
    raise KeyError(f"{kind} {' '.join(labels)} in {name}")


def labels_of(name: str, kind: str) -> set[str]:
    """Return the labels of all blocks of a kind, such as `variable` and `output`."""
    return {label for found in parsed(name).get(kind, []) for label in found}


def local(name: str, value: str) -> Any:
    """Return the source of a local value."""
    return next(values[value] for values in parsed(name)["locals"] if value in values)


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return every resource of a kind, by name, from all files."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(TERRAFORM.glob("*.tf")):
        for resource in parsed(path.name).get("resource", []):
            found |= resource.get(kind, {})
    return found


def seconds(duration: str) -> float:
    """Convert a duration such as `60s` to seconds."""
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)s", duration)
    assert matched, duration
    return float(matched[1])


def _plain(value: Any) -> Any:
    """Remove the quotes and marks that the parser keeps to write files back."""
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"')
    return value
