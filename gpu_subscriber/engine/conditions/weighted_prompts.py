"""Prompts with weights, and prompts that are longer than CLIP's text encoders read.

The tokens are divided into chunks of the encoder's length, each with its own begin and end token.
The chunks are encoded separately and joined. A weight moves a token's embedding away from the
embedding of an empty prompt, or towards it: a weight of 1 changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from common.domain.prompt_weights import MAX_CHUNKS, fragments_of

Encode = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
"""Encodes token ids (B, length): returns embeddings (B, length, width), and pooled ones (B, width) or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedTokens:
    """The tokens of a prompt, without begin and end tokens, and their weights."""

    ids: Sequence[int]
    weights: Sequence[float]

    @classmethod
    def of(cls, prompt: str, tokenizer: Any) -> "WeightedTokens":
        """Split the prompt into tokens; each fragment by itself, as its weight demands."""
        ids: list[int] = []
        weights: list[float] = []
        for fragment in fragments_of(prompt):
            found = tokenizer(fragment.text, add_special_tokens=False, verbose=False).input_ids
            ids += found
            weights += [fragment.weight] * len(found)
        return cls(ids=ids, weights=weights)

    def chunks_in(self, tokenizer: Any) -> int:
        """Return how many chunks the tokens fill."""
        return min(max(1, -(-len(self.ids) // _room(tokenizer))), MAX_CHUNKS)


def encode_chunks(
    prompt: str, *, tokenizer: Any, encode: Encode, chunks: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the embeddings of all chunks, (1, chunks × length, width), and the first one's pooled.

    A shorter prompt is continued with empty chunks, a longer one is cut.
    """
    tokens, room = WeightedTokens.of(prompt, tokenizer), _room(tokenizer)
    ids, weights = [], []
    for start in range(0, chunks * room, room):
        ids.append(_framed(tokens.ids[start : start + room], tokenizer))
        own = tokens.weights[start : start + room]
        weights.append([1.0, *own, *[1.0] * (tokenizer.model_max_length - 1 - len(own))])
    is_weighted = any(weight != 1 for weight in tokens.weights)
    if is_weighted:
        ids.append(_framed([], tokenizer))
    embeddings, pooled = encode(torch.tensor(ids))
    if is_weighted:
        embeddings, empty = embeddings[:-1], embeddings[-1:]
        scale = torch.tensor(weights).to(embeddings).unsqueeze(-1)
        embeddings = torch.where(scale == 1, embeddings, empty + (embeddings - empty) * scale)
    return embeddings.flatten(0, 1).unsqueeze(0), None if pooled is None else pooled[:1]


def _room(tokenizer: Any) -> int:
    """Return how many tokens of a prompt fit between the begin and the end token."""
    length: int = tokenizer.model_max_length
    return length - 2


def _framed(ids: Sequence[int], tokenizer: Any) -> list[int]:
    framed = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    return framed + [tokenizer.pad_token_id] * (tokenizer.model_max_length - len(framed))
