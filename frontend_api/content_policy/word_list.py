"""WordList: refuses prompts that contain a listed word or phrase.

Entries match whole words, whatever their case and Unicode form. Scripts without spaces have no
separate words; there each wide character is a word of its own.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.domain.errors import FieldProblem
from common.domain.models.traits import PromptSyntax
from common.domain.parameters import GenerationParameters
from common.domain.prompt_weights import fragments_of
from frontend_api.content_policy.ports import ContentPolicyError

MAX_ENTRIES = 100_000
MAX_WORDS = 8
"""Of one entry."""


class WordListError(ValueError):
    """The file is not usable; the message names the file, the line and the reason."""


class WordList:
    """A ContentPolicy. Without entries it allows everything."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._entries = {words_of(entry): entry for entry in entries}
        lengths: dict[str, set[int]] = {}
        for words in self._entries:
            lengths.setdefault(words[0], set()).add(len(words))
        self._lengths: Mapping[str, Iterable[int]] = lengths
        """The numbers of words of the entries that begin with a word."""

    @classmethod
    def read(cls, path: Path) -> "WordList":
        """Read a UTF-8 file with one entry per line; `#` begins a comment. Raises WordListError."""
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise WordListError(f"{path} cannot be read") from error
        except UnicodeDecodeError as error:
            raise WordListError(f"{path} must be UTF-8 text") from error
        entries = []
        for number, line in enumerate(lines, start=1):
            entry = line.partition("#")[0].strip()
            if entry and not 1 <= len(words_of(entry)) <= MAX_WORDS:
                raise WordListError(f"{path}, line {number}: an entry must have 1 to {MAX_WORDS} words")
            if entry:
                entries.append(entry)
        if not 1 <= len(entries) <= MAX_ENTRIES:
            raise WordListError(f"{path} must have 1 to {MAX_ENTRIES:,} entries (has {len(entries):,})")
        return cls(entries)

    def check(self, parameters: GenerationParameters) -> None:
        """Check the prompt. The negative prompt names what the image must not show."""
        entry = self._found_in(*_readings(parameters.prompt, parameters.prompt_syntax))
        if entry is not None:
            detail = f"must not contain {entry!r}, which the content policy refuses"
            raise ContentPolicyError((FieldProblem("/prompt", detail),))

    def _found_in(self, *texts: str) -> str | None:
        """Return the first entry in one of the texts."""
        for words in map(words_of, texts if self._entries else ()):
            for first, word in enumerate(words):
                for length in self._lengths.get(word, ()):
                    entry = self._entries.get(words[first : first + length])
                    if entry is not None:
                        return entry
        return None


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text, comparable whatever their case and Unicode form."""
    comparable = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return tuple(comparable.translate(_SEPARATED).split())


class _Separated(dict[int, str]):
    """What each character contributes to a text whose words are separated by spaces."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _MAX_CACHED_CHARACTERS:
            self.clear()
        self[code] = contribution = _contribution_of(chr(code))
        return contribution


_MAX_CACHED_CHARACTERS = 20_000
_INVISIBLE = (
    range(0x034F, 0x0350),
    range(0x115F, 0x1161),
    range(0x17B4, 0x17B6),
    range(0x180B, 0x1810),
    range(0xFE00, 0xFE10),
    range(0xE0100, 0xE01F0),
)
"""The letters and marks that no font shows: joiners, fillers, variation selectors. Of Unicode's property
Default_Ignorable_Code_Point, after NFKC normalisation.
"""
_SEPARATED = _Separated()


def _contribution_of(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf" or any(ord(char) in characters for characters in _INVISIBLE):
        return ""  # such as a zero-width space: it separates no words
    if category == "Lo" and unicodedata.east_asian_width(char) == "W":
        return f" {char} "
    if category[0] in "LMN":
        return char
    return " "


def _readings(text: str, syntax: PromptSyntax) -> tuple[str, ...]:
    """Return the text, and what the model reads of one with weights: brackets separate no words."""
    if syntax is PromptSyntax.PLAIN:
        return (text,)
    return text, "".join(fragment.text for fragment in fragments_of(text))
