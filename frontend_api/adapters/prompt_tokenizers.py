"""FilePromptTokenizers: the tokenizers of the offered models, where this process can read them.

The worker's transformers uses the same library, so both count the same tokens. The library does not
need torch. A tokenizer is loaded with the first prompt for its model.
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from common.domain.models.catalog import ModelCatalog, ModelSpec
from common.domain.models.model_files import EMBEDDED_PREFIX
from common.model_files.local_model import local_model

_log = structlog.get_logger(__name__)
_EMBEDDED_FOLDER = Path(__file__).parents[1] / "tokenizers"
_CLIP_SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
_CLIP_FAMILIES = ("stable_diffusion", "stable_diffusion_xl")
"""The families whose text encoders all have CLIP's limit."""
_CLIP_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class FilePromptTokenizers:
    """The PromptTokenizers of production. Thread-safe."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._folders = {spec.name: _folder_of(spec) for spec in catalog.models}
        self._lock = threading.Lock()
        self._loaded: dict[str, Tokenizer | None] = {}

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        tokenizer = self._tokenizer(model)
        if tokenizer is None:
            return None
        return [start for start, _ in tokenizer.encode(text, add_special_tokens=False).offsets]

    def _tokenizer(self, model: str) -> Tokenizer | None:
        if model not in self._loaded:
            with self._lock:
                if model not in self._loaded:
                    folder = self._folders.get(model)
                    self._loaded[model] = None if folder is None else _read(folder)
        return self._loaded[model]


def with_prompt_limits(catalog: ModelCatalog) -> ModelCatalog:
    """Set `max_prompt_tokens` of models that omit it, where the tokenizer can be read."""
    return catalog.model_copy(update={"models": tuple(map(_with_prompt_limit, catalog.models))})


def _with_prompt_limit(spec: ModelSpec) -> ModelSpec:
    folder = None if spec.max_prompt_tokens is not None else _folder_of(spec)
    # Other families use several text encoders, each with its own limit, or a template around the prompt.
    if folder is None or spec.family not in _CLIP_FAMILIES:
        return spec
    try:
        length = json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"]
    except (OSError, ValueError, KeyError, TypeError):
        return spec
    if not isinstance(length, int) or not len(_CLIP_SPECIAL_TOKENS) < length <= 2**16:
        return spec
    return spec.model_copy(update={"max_prompt_tokens": length - len(_CLIP_SPECIAL_TOKENS)})


def _folder_of(spec: ModelSpec) -> Path | None:
    if spec.is_embedded:
        folder = _EMBEDDED_FOLDER / spec.source.removeprefix(EMBEDDED_PREFIX)
    elif spec.tokenizer is not None:
        folder = Path(spec.tokenizer)
    elif local := local_model(spec):
        folder = local.folder / "tokenizer"
    else:
        return None
    return folder if folder.is_dir() else None


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
