"""WordTokenizers: a PromptTokenizers whose tokens are words."""

import re
from collections.abc import Sequence


class WordTokenizers:
    """Each word is a token. Models in `unreadable` have no tokenizer."""

    def __init__(self, *unreadable: str) -> None:
        self.unreadable = set(unreadable)

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        if model in self.unreadable:
            return None
        return [word.start() for word in re.finditer(r"\S+", text)]
