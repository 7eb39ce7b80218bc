"""Checkpoints in a single file: which components a file has, and which shipped configuration describes it.

The names and shapes of its tensors show the architecture. They are in the header at its start.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from common.model_files.safetensors_header import InvalidSafetensorsError, TensorHeader, read_tensors
from common.model_files.weights import UnservableModelError

Tensors = Mapping[str, TensorHeader]

CONFIGS = Path(__file__).parent / "configs"
"""Configurations and tokenizers of common architectures, without weights."""
COMPONENT_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
    "text_encoder_3": ("text_encoders.t5xxl.",),
}
"""How the names of a component's tensors start in the original layouts. All others are the denoiser's."""
DENOISERS = ("unet", "transformer")
"""The components that predict; every single file has the one of its pipeline."""
_UNET = "model.diffusion_model."
_INPUT = f"{_UNET}input_blocks.0.0.weight"
_ATTENTION = f"{_UNET}input_blocks.{{}}.1.transformer_blocks.0.attn2.to_k.weight"
V_PREDICTION, ZERO_TERMINAL_SNR = "v_pred", "ztsnr"
"""Empty tensors that mark how fine-tunes of SDXL were trained."""
_SD1 = {_INPUT: (320, 4, 3, 3), _ATTENTION.format(1): (320, 768)}
_SDXL = {
    _INPUT: (320, 4, 3, 3),
    _ATTENTION.format(4): (640, 2048),
    f"{_UNET}label_emb.0.0.weight": (1280, 2816),
}
_LAYOUTS = {"stable_diffusion": _SD1, "stable_diffusion_xl": _SDXL}


def has_component(names: Iterable[str], component: str) -> bool:
    """Return whether a file with tensors of these names has this network of a pipeline."""
    if component in DENOISERS:
        return True
    prefixes = COMPONENT_PREFIXES.get(component)
    return prefixes is not None and any(name.startswith(prefixes) for name in names)


def is_part_of(tensor: str, component: str) -> bool:
    """Return whether the tensor of this name belongs to this component."""
    if component in DENOISERS:
        return not any(tensor.startswith(prefixes) for prefixes in COMPONENT_PREFIXES.values())
    return tensor.startswith(COMPONENT_PREFIXES.get(component, ()))


def shipped_config(file: Path) -> Path:
    """Return the folder that describes the pipeline of this file. Raises UnservableModelError."""
    try:
        tensors = read_tensors(file)
    except InvalidSafetensorsError as error:
        raise UnservableModelError(str(error)) from error
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for layout, expected in _LAYOUTS.items():
        if shapes.items() >= expected.items():
            return CONFIGS / layout
    raise UnservableModelError(
        f'{file.name} {_description(tensors)}: write "config" with a folder in the layout of diffusers that '
        "describes its pipeline (model_index.json, the JSON files of each component, and the tokenizers)"
    )


def _description(tensors: Tensors) -> str:
    shape = tensors[_INPUT].shape if _INPUT in tensors else ()
    if len(shape) > 1 and shape[1] not in (4, 16):
        return f"has a network with {shape[1]} input channels, as checkpoints for inpainting have"
    if not any(has_component(tensors, name) for name in COMPONENT_PREFIXES):
        return "has only one network, without text encoders and autoencoder"
    return "is neither a Stable Diffusion 1 nor an SDXL checkpoint"
