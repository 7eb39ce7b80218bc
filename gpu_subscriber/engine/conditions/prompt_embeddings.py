"""The embeddings of prompts: encoded alone or together, each once, and cached.

A Run that is prepared alone uses embeddings that were encoded alone, which equal the stock
pipeline's bit for bit. Runs that are prepared together share passes of the text encoders, whose
matrix products are summed in another order. Their embeddings differ by float rounding, as those
Runs' predictions do.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache

from gpu_subscriber.engine.loras.slot_bank import LoraSet
from gpu_subscriber.engine.runs.run import Rows

CACHED_BYTES = 64 * 1024 * 1024
"""Embeddings of prompts take 0.1 to 8 MB each; nearly every task uses the empty negative prompt."""
MOST_TOGETHER = 8
"""Texts in one pass. T5's attention takes half a gigabyte for so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a text is encoded. Texts of one kind can share a pass."""

    is_negative: bool = False
    chunks: int = 0
    """Of a weighted prompt; 0 for a plain one."""
    clip_skip: int = 0
    picture: Hashable = None
    """What the text encoder sees beside the text."""
    loras: LoraSet = ()
    """Those that change text encoders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A prompt or a negative prompt; None stands for an omitted one."""

    content: str | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Encoded:
    rows: Rows
    is_exact: bool
    """Whether it was encoded alone."""


class PromptEmbeddings:
    """What a denoiser receives of prompts. `encode` encodes texts of one kind in one pass."""

    def __init__(self, encode: Callable[[list[Any], Kind], list[Rows]]) -> None:
        self._encode = encode
        self._cache: LRUCache[Text, _Encoded] = LRUCache(CACHED_BYTES, getsizeof=_bytes_of)

    def alone(self, texts: Iterable[Text]) -> list[Rows]:
        """Return the rows of the texts of one Run, each encoded alone."""
        return [self._found(text, exact=True) or self._encoded([text])[0] for text in texts]

    def together(self, texts: Iterable[Text]) -> dict[Text, Rows]:
        """Return the rows of the texts of several Runs. Texts of one kind share passes."""
        found = {text: self._found(text, exact=False) for text in texts}
        missing: dict[Kind, list[Text]] = {}
        for text, rows in found.items():
            if rows is None:
                missing.setdefault(text.kind, []).append(text)
        encoded: dict[Text, Rows] = {}
        for same in missing.values():
            for first in range(0, len(same), MOST_TOGETHER):
                part = same[first : first + MOST_TOGETHER]
                encoded |= zip(part, self._encoded(part), strict=True)
        return encoded | {text: rows for text, rows in found.items() if rows is not None}

    def clear(self) -> None:
        """Drop all embeddings."""
        self._cache.clear()

    def _found(self, text: Text, *, exact: bool) -> Rows | None:
        found = self._cache.get(text)
        return found.rows if found is not None and (found.is_exact or not exact) else None

    def _encoded(self, texts: Sequence[Text]) -> list[Rows]:
        encoded = self._encode([text.content for text in texts], texts[0].kind)
        for text, rows in zip(texts, encoded, strict=True):
            kept = _Encoded(rows, is_exact=len(texts) == 1)
            if _bytes_of(kept) <= CACHED_BYTES:
                self._cache[text] = kept
        return encoded


def split_rows(**tensors: torch.Tensor) -> list[Rows]:
    """Return the rows of each text from the tensors of a pass.

    They are copies, because a view would keep the tensors of all texts in memory.
    """
    count = len(next(iter(tensors.values())))
    if count == 1:
        return [tensors]
    return [{name: tensor[row : row + 1].clone() for name, tensor in tensors.items()} for row in range(count)]


def _bytes_of(encoded: _Encoded) -> int:
    return sum(row.nbytes for row in encoded.rows.values())
