"""How a pipeline splits prompts into tokens, and how many of them it reads."""

from collections.abc import Sequence
from typing import Any

from transformers import CLIPTokenizer

from common.domain.models.known_pipelines import prompt_reading
from common.domain.models.prompt_reading import CLIP, PromptReading

_TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")


class PromptTokens:
    """The tokenizer of the text encoder that reads the most of a prompt."""

    def __init__(self, pipeline: Any) -> None:
        parts = {name: getattr(pipeline, name, None) for name in _TOKENIZERS}
        found = {name: tokenizer for name, tokenizer in parts.items() if getattr(tokenizer, "is_fast", False)}
        self._reading = prompt_reading(type(pipeline).__name__, found) or _reading_of(found)
        self._tokenizer = None if self._reading is None else found[self._reading.tokenizer]
        self.limit = self._limit(pipeline)
        """How many tokens the encoders read, without begin and end tokens; None: unknown."""

    def starts(self, text: str) -> Sequence[int] | None:
        """Return the index of the first character of each token; None where the tokens are unknown."""
        return None if self._reading is None else self._starts(self._reading.counted(text))

    def _limit(self, pipeline: Any) -> int | None:
        if self._reading is None or self._tokenizer is None:
            return None
        length = self._reading.length or self._tokenizer.model_max_length
        limit = self._reading.limit(length, len(self._starts(self._reading.prefix)))
        # The text encoder receives an instruction, whose embeddings are cut off. In another
        # vocabulary than the published one, some of them remain.
        if template := getattr(pipeline, "prompt_template_encode", None):
            limit -= len(self._starts(template.split("{}")[0])) - pipeline.prompt_template_encode_start_idx
        return limit

    def _starts(self, text: str) -> Sequence[int]:
        if self._tokenizer is None:
            return ()
        encoded = self._tokenizer(
            text,
            add_special_tokens=False,
            padding=False,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        return [start for start, _ in encoded["offset_mapping"]]


def _reading_of(tokenizers: dict[str, Any]) -> PromptReading | None:
    """Return how a pipeline of an unknown class reads prompts, if it has one tokenizer: CLIP's."""
    is_clip = list(tokenizers) == ["tokenizer"] and isinstance(tokenizers["tokenizer"], CLIPTokenizer)
    return CLIP if is_clip else None
