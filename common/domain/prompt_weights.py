"""Weights of the parts of a prompt, written as in AUTOMATIC1111's web UI. Pure.

    (word)      weight 1.1          (word:1.3)  weight 1.3
    [word]      weight 1 / 1.1      \\( \\) \\[ \\] \\\\  the character itself

Brackets can be nested: their weights are multiplied. A bracket that is not closed ends with the
text, and one that was not opened is a character.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_CHUNKS = 8
"""How many times the encoder's limit a weighted prompt can have; the rest is ignored."""
MAX_WEIGHT = 10.0
"""Greater weights, and products of nested ones, count as this one."""
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


def fragments_of(prompt: str) -> tuple[Fragment, ...]:
    """Return the parts of the prompt in order, without the syntax of weights."""
    pieces: list[_Piece] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def close(bracket: str, weight: float) -> bool:
        if not opened[bracket]:
            return False
        for piece in pieces[opened[bracket].pop() :]:
            piece.weight = min(piece.weight * weight, MAX_WEIGHT)
        return True

    for part in _PARTS.finditer(prompt):
        text, escaped, weight = part[0], part["escaped"], part["weight"]
        if escaped is not None:
            pieces.append(_Piece(escaped, part.start() + 1))
            continue
        if text in opened:
            opened[text].append(len(pieces))
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
    for piece in pieces:
        places = range(piece.start, piece.start + len(piece.text))
        if found and found[-1].weight == piece.weight:
            last = found.pop()
            found.append(replace(last, text=last.text + piece.text, places=[*last.places, *places]))
        else:
            found.append(Fragment(text=piece.text, weight=piece.weight, places=places))
    return found
