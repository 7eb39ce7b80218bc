"""Which IP-Adapter files can be applied, by the header: names, shapes and number formats of their tensors."""

from collections.abc import Mapping
from pathlib import Path

from common.model_files.safetensors_header import InvalidSafetensorsError, TensorHeader, read_tensors
from common.model_files.weights import UnservableModelError

MAX_IP_ADAPTER_BYTES = 8_000_000_000
PROJECTION, ATTENTION = "image_proj.", "ip_adapter."
"""The beginnings of the names of an adapter's tensors."""
_KINDS = ("image_proj.proj.weight", "image_proj.proj.3.weight", "image_proj.latents")
"""A tensor of each kind of projection: of the embedding of a picture, or of the tokens of its parts."""
_FORMATS = frozenset(("F32", "F16", "BF16"))


def check_ip_adapter_file(file: Path) -> None:
    """Raise UnservableModelError if the header shows that the file cannot be applied."""
    try:
        tensors = read_tensors(file)
        size = file.stat().st_size
    except (InvalidSafetensorsError, OSError) as error:
        raise UnservableModelError(str(error)) from error
    if size > MAX_IP_ADAPTER_BYTES:
        raise UnservableModelError(
            f"{file} has {size} bytes; an IP-Adapter has at most {MAX_IP_ADAPTER_BYTES}"
        )
    if problem := _problem(tensors):
        raise UnservableModelError(f"{file} {problem}")


def _problem(tensors: Mapping[str, TensorHeader]) -> str | None:
    reads_pictures = any(kind in tensors for kind in _KINDS)
    if any(name.startswith(PROJECTION) for name in tensors) and not reads_pictures:
        return "reads the embedding of a face (FaceID), which CLIP does not compute; use an IP-Adapter for pictures"
    if named := next((name for name in tensors if "_lora." in name), None):
        return f"contains a LoRA (tensor {named!r}); use an IP-Adapter without one"
    if not reads_pictures or not any(name.startswith(ATTENTION) for name in tensors):
        return (
            "is no IP-Adapter for Stable Diffusion or SDXL: its tensors must be named `image_proj.…` and "
            "`ip_adapter.….to_k_ip.weight`"
        )
    for name, tensor in tensors.items():
        if tensor.dtype not in _FORMATS:
            return (
                f"has the number format {tensor.dtype} (tensor {name!r}); use {', '.join(sorted(_FORMATS))}"
            )
    return None
