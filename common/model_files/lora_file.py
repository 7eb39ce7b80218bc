"""Which LoRA files can be applied, by the header: names, shapes and number formats of their tensors."""

import re
from collections.abc import Mapping
from pathlib import Path

from common.model_files.safetensors_header import InvalidSafetensorsError, TensorHeader, read_tensors
from common.model_files.weights import UnservableModelError

MAX_RANK = 512
MAX_LORA_BYTES = 4_000_000_000
_DOWN = re.compile(r"[._](?:lora_down|lora_A|lora\.down|lora_linear_layer\.down|down)(?:\.default)?\.weight$")
_OTHER_KINDS = {
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "lokr_": "a LoKr",
    "hada_": "a LoHa",
    "oft_": "an OFT adapter",
    "lora_mid": "a LoCon with a Tucker decomposition",
}
"""Adapters that are no sum of two matrices, by a part of their tensors' names."""
_FORMATS = frozenset(("F32", "F16", "BF16"))


def check_lora_file(file: Path) -> None:
    """Raise UnservableModelError if the header shows that the file cannot be applied."""
    try:
        tensors = read_tensors(file)
        size = file.stat().st_size
    except (InvalidSafetensorsError, OSError) as error:
        raise UnservableModelError(str(error)) from error
    if size > MAX_LORA_BYTES:
        raise UnservableModelError(f"{file} has {size} bytes; a LoRA has at most {MAX_LORA_BYTES}")
    if problem := _problem(tensors):
        raise UnservableModelError(f"{file} {problem}")


def _problem(tensors: Mapping[str, TensorHeader]) -> str | None:
    for part, kind in _OTHER_KINDS.items():
        if named := next((name for name in tensors if part in name), None):
            return f"is {kind}, which cannot be applied (tensor {named!r}); use a plain LoRA"
    ranks = {name: tensor.shape[0] for name, tensor in tensors.items() if _DOWN.search(name) and tensor.shape}
    if not ranks:
        return "has no LoRA: none of its tensors is named like `….lora_A.weight` or `….lora_down.weight`"
    for name, rank in ranks.items():
        if not 1 <= rank <= MAX_RANK:
            return f"has the rank {rank} (tensor {name!r}); ranks must be between 1 and {MAX_RANK}"
    for name, tensor in tensors.items():
        if tensor.dtype not in _FORMATS and tensor.shape:
            return (
                f"has the number format {tensor.dtype} (tensor {name!r}); use {', '.join(sorted(_FORMATS))}"
            )
    return None
