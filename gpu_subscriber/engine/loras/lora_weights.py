"""Read a LoRA file, in any format that diffusers converts, into one pair of matrices per module."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.state_dict_utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors import safe_open

from common.model_files.lora_file import check_lora_file
from common.model_files.weights import UnservableModelError

Tensors = Mapping[str, torch.Tensor]
Pairs = Mapping[str, "Pair"]
"""The changes of one network, by its modules' names."""
_METADATA = "lora_adapter_metadata"
"""Where the library of the format stores its configuration in a file's header."""
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_TEXT_ENCODER = "text_encoder"


@dataclass(frozen=True, slots=True)
class Pair:
    """The change of one module's weights: `up @ down`, times `scale`.

    `down` is (rank, in) and `up` (out, rank) for a matrix; both have two more dimensions for a
    convolution, which `up` uses with one pixel.
    """

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def nbytes(self) -> int:
        return self.down.nbytes + self.up.nbytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraWeights:
    """The content of a LoRA file for one pipeline."""

    sha256: str
    networks: Mapping[str, Pairs]
    """The changes by the names of the pipeline's components."""

    @property
    def nbytes(self) -> int:
        """The size of its tensors in the host's memory."""
        return sum(pair.nbytes for pairs in self.networks.values() for pair in pairs.values())


def read_lora(file: Path, pipeline: Any) -> LoraWeights:
    """Read a LoRA for this pipeline. Raises UnservableModelError with the reason, for operators."""
    check_lora_file(file)
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            metadata = opened.metadata() or {}
        converted, alphas = _converted(tensors, pipeline)
        configuration = json.loads(metadata.get(_METADATA) or "{}")
        networks = {
            component: _pairs(
                component, own, _by_component(alphas).get(component, {}), configuration, pipeline
            )
            for component, own in _by_component(converted).items()
        }
    except UnservableModelError as error:
        raise UnservableModelError(f"{file} {error}") from error
    except Exception as error:  # the converters meet unexpected names and shapes with errors of any kind
        raise UnservableModelError(f"{file} cannot be converted: {type(error).__name__}: {error}") from error
    with file.open("rb") as opened_bytes:
        digest = hashlib.file_digest(opened_bytes, "sha256").hexdigest()
    return LoraWeights(sha256=digest, networks=networks)


def _converted(tensors: Tensors, pipeline: Any) -> tuple[Tensors, Mapping[str, float]]:
    """Return the tensors by diffusers' names of components and modules, and the alphas by names of tensors."""
    convert = type(pipeline).lora_state_dict
    accepted = inspect.signature(convert).parameters
    options: dict[str, Any] = {"return_alphas": True} if "return_alphas" in accepted else {}
    if hasattr(pipeline, "unet"):
        options["unet_config"] = pipeline.unet.config
    result = convert(dict(tensors), **options)
    converted, alphas = result[:2] if isinstance(result, tuple) else (result, None)
    return converted, {name: float(alpha) for name, alpha in (alphas or {}).items()}


def _pairs(
    component: str,
    tensors: Tensors,
    alphas: Mapping[str, float],
    configuration: Mapping[str, Any],
    pipeline: Any,
) -> Pairs:
    """Return the changes of one component, from its tensors by the names of modules."""
    network = getattr(pipeline, component, None)
    if component not in type(pipeline)._lora_loadable_modules or not isinstance(network, torch.nn.Module):
        raise UnservableModelError(f"changes {component!r}, to which no LoRA of this model applies")
    named = _peft_names(component, tensors, network)
    alpha_of = _peft_names(component, {_weight_of(name): alpha for name, alpha in alphas.items()}, network)
    settings = _by_component(configuration).get(component, {})
    pairs: dict[str, Pair] = {}
    for name in named:
        module = name.removesuffix(_DOWN).removesuffix(_UP)
        down, up = named.get(module + _DOWN), named.get(module + _UP)
        if module == name or down is None or up is None:
            raise UnservableModelError(f"has a tensor that is no part of a LoRA: {component}.{name}")
        if module not in pairs:
            scale = _scale(module, down.shape[0], alpha_of.get(module + _DOWN), settings)
            pairs[module] = _checked(f"{component}.{module}", _module(network, module), down, up, scale)
    return pairs


def _by_component(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        component, _, rest = name.partition(".")
        found.setdefault(component, {})[rest] = value
    return found


def _peft_names(component: str, values: Mapping[str, Any], network: torch.nn.Module) -> dict[str, Any]:
    """Return the values by names such as `down_blocks.0.….to_q.lora_A.weight`."""
    if not component.startswith(_TEXT_ENCODER):
        is_old = not all(name.endswith((_DOWN, _UP)) for name in values)
        convert: Callable[[Any], dict[str, Any]] = convert_unet_state_dict_to_peft
        return convert(dict(values)) if is_old and values else dict(values)
    if not values:
        return {}
    named = convert_state_dict_to_peft(convert_state_dict_to_diffusers(dict(values)))
    if not hasattr(network, "text_model"):  # newer releases of the library have no such module
        named = {name.removeprefix("text_model."): value for name, value in named.items()}
    return dict(named)


def _weight_of(alpha: str) -> str:
    """Return the name of the tensor that an alpha belongs to, as the converters write it."""
    name = alpha.removesuffix(".alpha")
    return name if name.endswith(".down.weight") else f"{name}.lora.down.weight"


def _module(network: torch.nn.Module, name: str) -> torch.nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        raise UnservableModelError(f"changes a module that this model does not have: {name}") from error


def _checked(
    name: str,
    module: torch.nn.Module,
    down: torch.Tensor,
    up: torch.Tensor,
    scale: float,
) -> Pair:
    """Return the pair of a module, whose shapes it must fit."""
    rank = down.shape[0]
    if isinstance(module, torch.nn.Linear):
        down_shape: tuple[int, ...] = (rank, module.in_features)
        up_shape: tuple[int, ...] = (module.out_features, rank)
    elif isinstance(module, torch.nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros":
        down_shape = (rank, module.in_channels, *module.kernel_size)
        up_shape = (module.out_channels, rank, 1, 1)
    else:
        raise UnservableModelError(f"changes {name}, a {type(module).__name__}, to which no LoRA applies")
    # Old files of models with convolutions of one pixel write matrices as such, and the reverse.
    if down.numel() == _count(down_shape) and up.numel() == _count(up_shape):
        down, up = down.reshape(down_shape), up.reshape(up_shape)
    if tuple(down.shape) != down_shape or tuple(up.shape) != up_shape:
        raise UnservableModelError(
            f"does not fit this model: {name} takes {down_shape} and {up_shape}, not {tuple(down.shape)} and "
            f"{tuple(up.shape)}"
        )
    if not (bool(torch.isfinite(down).all()) and bool(torch.isfinite(up).all())):
        raise UnservableModelError(f"has numbers that are not finite, for {name}")
    # Copies: a file that is replaced would change tensors that are mapped from it.
    return Pair(down.clone(), up.clone(), scale)


def _count(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _scale(module: str, rank: int, alpha: float | None, settings: Mapping[str, Any]) -> float:
    """Return alpha / rank, from the file's alphas or from its configuration; 1 without any."""
    if settings.get("use_dora"):
        raise UnservableModelError("is a DoRA, which cannot be applied; use a plain LoRA")
    if alpha is None:
        patterns = settings.get("alpha_pattern") or {}
        own = [value for key, value in patterns.items() if re.fullmatch(rf"(.*\.)?{key}", module)]
        alpha = own[0] if own else settings.get("lora_alpha")
    if alpha is None:
        return 1.0
    return float(alpha) / (sqrt(rank) if settings.get("use_rslora") else rank)
