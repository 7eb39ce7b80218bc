"""Weights of the parts of a prompt, written as in AUTOMATIC1111's web UI. Pure.

    (word)      weight 1.1          (word:1.3)  weight 1.3
    [word]      weight 1 / 1.1      \\( \\) \\[ \\] \\\\  the character itself

Brackets can be nested: their weights are multiplied. A bracket that is not closed ends with the
text, and one that was not opened is a character.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

MAX_CHUNKS = 8
"""How many times the encoder's limit a weighted prompt can have; the rest is ignored."""
MAX_WEIGHT = 10.0
"""Greater weights, and products of nested ones, count as this one."""
MAX_DEPTH = 32
"""Brackets inside this many others have no weight: 26 round ones reach the greatest. Bounds the work."""
_CLOSING = {")": ("(", 1.1), "]": ("[", 1 / 1.1)}
"""The opening bracket and the weight of each closing one."""
_PARTS = re.compile(
    r"\\(?P<escaped>[()\[\]\\])|:\s*(?P<weight>\d+(?:\.\d*)?|\.\d+)\s*\)|[()\[\]]|[^\\()\[\]:]+|[\\:]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A part of a prompt whose tokens have one weight."""

    text: str
    weight: float
    places: Sequence[int]
    """The index of each character in the prompt."""


@dataclass(slots=True)
class _Piece:
    text: str
    start: int
    weight: float = 1.0


@lru_cache(maxsize=32)
def fragments_of(prompt: str) -> tuple[Fragment, ...]:
    """Return the parts of the prompt in order, without the syntax of weights."""
    pieces: list[_Piece] = []
    opened: dict[str, list[int | None]] = {"(": [], "[": []}

    def close(bracket: str, weight: float) -> bool:
        if not opened[bracket]:
            return False
        start = opened[bracket].pop()
        for piece in () if start is None else pieces[start:]:
            piece.weight = min(piece.weight * weight, MAX_WEIGHT)
        return True

    for part in _PARTS.finditer(prompt):
        text, escaped, weight = part[0], part["escaped"], part["weight"]
        if escaped is not None:
            pieces.append(_Piece(escaped, part.start() + 1))
            continue
        if text in opened:
            depth = sum(map(len, opened.values()))
            opened[text].append(len(pieces) if depth < MAX_DEPTH else None)
            continue
        closing = _CLOSING.get(text) if weight is None else ("(", float(weight))
        if closing is None or not close(*closing):
            pieces.append(_Piece(text, part.start()))
    for closing in _CLOSING.values():
        while close(*closing):
            pass
    return tuple(_merged(pieces))


def _merged(pieces: Sequence[_Piece]) -> list[Fragment]:
    """Join neighbours of one weight: a word must not be split before it becomes tokens."""
    found: list[Fragment] = []
    for weight, same in groupby(pieces, key=lambda piece: piece.weight):
        neighbours = list(same)
        places = [
            place for piece in neighbours for place in range(piece.start, piece.start + len(piece.text))
        ]
        found.append(Fragment(text="".join(piece.text for piece in neighbours), weight=weight, places=places))
    return found
