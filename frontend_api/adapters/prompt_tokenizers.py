"""FilePromptTokenizers: the tokenizers of the offered models, where this process can read them.

The worker's transformers uses the same library, so both count the same tokens. The library does not
need torch. A tokenizer is loaded with the first prompt for its model.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from common.domain.models.catalog import ModelCatalog
from common.domain.models.families import PIPELINE_CLASS_OF
from common.domain.models.known_pipelines import prompt_reading
from common.domain.models.model_files import EMBEDDED_PREFIX
from common.domain.models.prompt_reading import PromptReading
from common.domain.models.spec import ModelSpec
from common.model_files.local_model import local_model
from common.model_folder import configured_tokens, folder_reading

_log = structlog.get_logger(__name__)
_EMBEDDED_FOLDER = Path(__file__).parents[1] / "tokenizers"
_CLIP_SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
_CLIP_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the tokenizer of a model is, and how the model reads its tokens."""

    folder: Path
    reading: PromptReading


class FilePromptTokenizers:
    """The PromptTokenizers of production. Thread-safe."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._sources = {spec.name: _source_of(spec) for spec in catalog.models}
        self._lock = threading.Lock()
        self._loaded: dict[str, Tokenizer | None] = {}

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        source, tokenizer = self._sources.get(model), self._tokenizer(model)
        if source is None or tokenizer is None:
            return None
        return _starts(tokenizer, source.reading.counted(text))

    def _tokenizer(self, model: str) -> Tokenizer | None:
        if model not in self._loaded:
            with self._lock:
                if model not in self._loaded:
                    source = self._sources.get(model)
                    self._loaded[model] = None if source is None else _read(source.folder)
        return self._loaded[model]


def with_prompt_limits(catalog: ModelCatalog) -> ModelCatalog:
    """Set `max_prompt_tokens` of models that omit it, where the family or the tokenizer's files state it."""
    return catalog.model_copy(update={"models": tuple(map(_with_prompt_limit, catalog.models))})


def _with_prompt_limit(spec: ModelSpec) -> ModelSpec:
    reading = None if spec.max_prompt_tokens is not None else _reading_of(spec)
    if reading is None:
        return spec
    source, limit = _source_of(spec), reading.usual_limit
    if source is not None and reading.length is None:
        limit = configured_tokens(source.folder, reading)
    elif source is not None and reading.length is not None and reading.prefix:
        tokenizer = _read(source.folder)
        prefix_tokens = (
            reading.prefix_tokens if tokenizer is None else len(_starts(tokenizer, reading.prefix))
        )
        limit = reading.limit(reading.length, prefix_tokens)
    return spec.model_copy(update={"max_prompt_tokens": limit})


def _source_of(spec: ModelSpec) -> _Source | None:
    reading = _reading_of(spec) or PromptReading(length=None)
    if spec.is_embedded:
        folder = _EMBEDDED_FOLDER / spec.source.removeprefix(EMBEDDED_PREFIX)
    elif spec.tokenizer is not None:
        folder = Path(spec.tokenizer)
    elif local := local_model(spec):
        folder = local.folder / reading.tokenizer
    else:
        return None
    return _Source(folder=folder, reading=reading) if folder.is_dir() else None


def _reading_of(spec: ModelSpec) -> PromptReading | None:
    """Return how the model reads prompts, by its folder or else by its family; None if unknown."""
    local = None if spec.is_embedded else local_model(spec)
    found = None if local is None else folder_reading(local.folder)
    return found or prompt_reading(PIPELINE_CLASS_OF.get(spec.family, ""))


def _starts(tokenizer: Tokenizer, text: str) -> Sequence[int]:
    return [start for start, _ in tokenizer.encode(text, add_special_tokens=False).offsets]


def _read(folder: Path) -> Tokenizer | None:
    """Return None when this library cannot read a tokenizer there.

    Then only the worker counts tokens.
    """
    try:
        whole = folder / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(whole)) if whole.is_file() else _clip_tokenizer(folder)
    except Exception as error:  # the library raises plain Exceptions
        _log.warning("tokenizer_not_read", folder=str(folder), error=type(error).__name__)
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _clip_tokenizer(folder: Path) -> Tokenizer:
    """Build the tokenizer from the two files of older models, as transformers' CLIPTokenizer does."""
    bpe = models.BPE.from_file(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        unk_token=_CLIP_SPECIAL_TOKENS[1],
        continuing_subword_prefix="",
        end_of_word_suffix="</w>",
        fuse_unk=False,
    )
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens(list(_CLIP_SPECIAL_TOKENS))
    return tokenizer
