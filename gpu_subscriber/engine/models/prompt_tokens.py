"""How a pipeline splits prompts into tokens, and how many of them it reads."""

from collections.abc import Sequence
from typing import Any

from transformers import CLIPTokenizer

_TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")


class PromptTokens:
    """The tokenizer of a pipeline, if all its text encoders read the same tokens and limit."""

    def __init__(self, pipeline: Any) -> None:
        found = [
            tokenizer for name in _TOKENIZERS if (tokenizer := getattr(pipeline, name, None)) is not None
        ]
        # With several encoders, one may read what another ignores, unless all of them are CLIP's.
        is_known = bool(found) and all(isinstance(tokenizer, CLIPTokenizer) for tokenizer in found)
        self._tokenizer = found[0] if is_known else None
        lengths = [tokenizer.model_max_length - tokenizer.num_special_tokens_to_add() for tokenizer in found]
        self.limit: int | None = min(lengths) if is_known else None
        """How many tokens the encoders read, without begin and end tokens; None: unknown."""

    def starts(self, text: str) -> Sequence[int] | None:
        """Return the index of the first character of each token; None where the tokens are unknown."""
        if self._tokenizer is None:
            return None
        encoded = self._tokenizer(
            text,
            add_special_tokens=False,
            padding=False,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        return [start for start, _ in encoded["offset_mapping"]]
