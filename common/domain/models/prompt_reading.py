"""How many tokens of a prompt each pipeline class reads, and with which tokenizer. Torch-free.

The API counts tokens with the tokenizer's files, the worker with the loaded tokenizer, both by
these rules.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptReading:
    """The text encoder that reads the most of a prompt."""

    tokenizer: str = "tokenizer"
    """The component that splits the prompt into tokens."""
    length: int | None
    """How many tokens the encoder receives; None: as many as the tokenizer's configuration states."""
    special_tokens: int = 0
    """How many of them are begin and end tokens."""
    prefix: str = ""
    """What precedes the prompt and takes part of the length."""
    prefix_tokens: int = 0
    """The number of the prefix's tokens, in the vocabulary of the published models."""
    is_lowercase: bool = False
    """Whether the prompt is converted to lower case."""

    @property
    def usual_limit(self) -> int | None:
        """How many tokens of a prompt a published model of this class reads; None if it is not fixed."""
        return None if self.length is None else self.limit(self.length, self.prefix_tokens)

    def limit(self, length: int, prefix_tokens: int) -> int:
        """Return how many tokens of a prompt an encoder of this length reads."""
        return length - self.special_tokens - prefix_tokens

    def counted(self, text: str) -> str:
        """Return the text whose tokens count, in which each character keeps its place."""
        lower = text.lower() if self.is_lowercase else text
        return lower if len(lower) == len(text) else text


CLIP = PromptReading(length=None, special_tokens=2)
