"""Hashes of files as the hub states them: SHA-256 of large files, git's hash of small ones."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Digest:
    """The hash of a file."""

    kind: Literal["sha256", "git"]
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class DigestOfFile:
    """The hash of a file of a known size, computed while its bytes arrive."""

    def __init__(self, expected: Digest, *, size: int) -> None:
        self.expected = expected
        self.received = 0
        if expected.kind == "git":
            # Identifies a file in git; the hub states no other hash of small files.
            self._hash = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        else:
            self._hash = hashlib.sha256()

    def add(self, content: bytes) -> None:
        self._hash.update(content)
        self.received += len(content)

    def add_all(self, parts: Iterable[bytes]) -> Self:
        for part in parts:
            self.add(part)
        return self

    @property
    def is_expected(self) -> bool:
        return self._hash.hexdigest() == self.expected.value
