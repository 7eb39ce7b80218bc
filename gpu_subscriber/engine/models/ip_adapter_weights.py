"""Build an IP-Adapter from the tensors of its file, and check that it fits the model."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import torch

from common.model_files.ip_adapter_file import ATTENTION, PROJECTION
from gpu_subscriber.engine.conditions.ip_adapters import IpAdapter, cross_attentions
from gpu_subscriber.engine.errors import ModelRefusedError

Tensors = Mapping[str, torch.Tensor]


def built_ip_adapter(label: str, tensors: Tensors, *, denoiser: Any, encoder: Any) -> IpAdapter:
    """Return the adapter on the denoiser's device. Raises ModelRefusedError, which begins with the label."""
    layers = list(_layers_of(tensors))
    needed = [
        (attention.inner_dim, attention.cross_attention_dim) for attention in cross_attentions(denoiser)
    ]
    if [(tuple(key.shape), tuple(value.shape)) for key, value in layers] != [(each, each) for each in needed]:
        raise ModelRefusedError(
            f"{label}: the {len(layers)} layers of `source` do not fit the {len(needed)} layers of the model; use an "
            "IP-Adapter of this architecture"
        )
    own = {
        name.removeprefix(PROJECTION): tensor
        for name, tensor in tensors.items()
        if name.startswith(PROJECTION)
    }
    adapter = IpAdapter(
        encoder=encoder,
        projection=denoiser._convert_ip_adapter_image_proj_to_diffusers(own),
        layers=layers,
    )
    config, given = encoder.config, _width_that_is_read(own)
    computed = config.hidden_size if adapter.reads_parts else config.projection_dim
    if given != computed:
        raise ModelRefusedError(
            f"{label}: `source` reads embeddings of {given} numbers, and `image_encoder` computes {computed}; use the "
            "image encoder that the adapter was trained with"
        )
    for part in (adapter.projection, adapter.keys, adapter.values):
        part.requires_grad_(requires_grad=False).to(denoiser.device, denoiser.dtype)
        # A row without this adapter multiplies them by zero.
        if not all(weight.isfinite().all() for weight in part.parameters()):
            raise ModelRefusedError(f"{label}: `source` contains numbers that are not finite")
    return adapter


def _layers_of(tensors: Tensors) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return keys and values of each layer. Files number all layers of attention; the even ones have none."""
    for number in count(1, 2):
        key, value = (tensors.get(f"{ATTENTION}{number}.to_{kind}_ip.weight") for kind in "kv")
        if key is None or value is None:
            return
        yield key, value


def _width_that_is_read(projection: Tensors) -> int:
    """Return how many numbers the projection reads of a picture, or of each of its parts."""
    names = ("proj.weight", "proj.0.weight", "proj_in.weight")
    return next(projection[name].shape[1] for name in names if name in projection)
