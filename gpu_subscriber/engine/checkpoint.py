"""Checkpoints: a Run's complete state between two steps, as bytes, and back.

    "DRKRCKP1" · SHA-256 of the rest (32 bytes) · safetensors with latents, generator and solver history

The history is whatever differs between the Run's scheduler and a fresh one with the same timesteps, so a new sampler's
history is saved without anyone listing its fields. Prompt embeddings are not saved: encoding is deterministic.
Latents alone would do for DDIM and Euler, and be silently wrong for DPM++ 2M, UniPC and PNDM.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import safetensors.torch
import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import CheckpointRefusedError
from gpu_subscriber.engine.run import Denoising

MAGIC = b"DRKRCKP1"
MAX_BYTES = 64 * 1024 * 1024
"""Larger checkpoints are neither made nor read: the latents of 4096² with a third-order history take a third of it."""
VERSIONED_PACKAGES = ("torch", "diffusers", "transformers")
_DIGEST_BYTES = 32


def software_versions() -> dict[str, str]:
    """The packages that decide pixels, by name."""
    return {name: version(name) for name in VERSIONED_PACKAGES}


def identity_of(state: Denoising, parameters: GenerationParameters, *, index: int) -> dict[str, Any]:
    """What must be equal where a Run goes on: picture, weights, precision, kind of device, software. No prompt."""
    asked = parameters.model_dump_json(exclude={"num_images", "output_format"})
    return {
        "picture": hashlib.sha256(f"{asked}#{index}".encode()).hexdigest(),
        "model": parameters.model,
        "sampler": parameters.sampler.value,
        "weights": state.fingerprint,
        "precision": f"{state.positive.dtype} on {state.positive.device.type}",
        "software": software_versions(),
    }


def saved(state: Denoising, parameters: GenerationParameters, *, index: int) -> bytes:
    """The state as bytes.

    Raises CheckpointRefusedError when the sampler keeps something that cannot be saved, or too much of it.
    """
    scheduler = state.scheduler
    fresh = type(scheduler).from_config(scheduler.config)
    fresh.set_timesteps(parameters.steps, device="cpu")
    tensors = {"latents": _at_rest(state.latents), "generator": state.generator.get_state()}
    history = {
        name: _packed(value, tensors)
        for name, value in vars(scheduler).items()
        if name != "_internal_dict" and not _same(value, getattr(fresh, name, None))
    }
    identity = identity_of(state, parameters, index=index)
    metadata = {"identity": identity, "step_index": state.step_index, "history": history}
    body = safetensors.torch.save(tensors, metadata={"darkroom": json.dumps(metadata)})
    if len(body) > MAX_BYTES:
        raise CheckpointRefusedError(f"a checkpoint of {len(body)} bytes is too large")
    return MAGIC + hashlib.sha256(body).digest() + body


def restore(state: Denoising, checkpoint: bytes, parameters: GenerationParameters, *, index: int) -> None:
    """Bring a freshly prepared state to where the checkpoint was made.

    Raises CheckpointRefusedError and changes nothing when the checkpoint does not fit.
    """
    metadata, tensors = _opened(checkpoint)
    if metadata["identity"] != identity_of(state, parameters, index=index):
        raise CheckpointRefusedError("made by another model, sampler or software, or for another picture")
    latents = tensors["latents"]
    if latents.shape != state.latents.shape or not 0 <= metadata["step_index"] <= len(state.timesteps):
        raise CheckpointRefusedError("its latents or its step do not fit")
    device = state.latents.device
    history = {name: _unpacked(value, tensors, device) for name, value in metadata["history"].items()}
    state.latents = latents.to(device)
    state.generator.set_state(tensors["generator"])
    state.step_index = metadata["step_index"]
    for name, value in history.items():
        setattr(state.scheduler, name, value)


def _opened(checkpoint: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    start = len(MAGIC) + _DIGEST_BYTES
    if len(checkpoint) > MAX_BYTES + start or checkpoint[: len(MAGIC)] != MAGIC:
        raise CheckpointRefusedError("not a checkpoint of this version")
    body = checkpoint[start:]
    if hashlib.sha256(body).digest() != checkpoint[len(MAGIC) : start]:
        raise CheckpointRefusedError("damaged: its checksum does not match")
    tensors = safetensors.torch.load(body)
    header_bytes = int.from_bytes(body[:8], "little")
    header = json.loads(body[8 : 8 + header_bytes])
    return json.loads(header["__metadata__"]["darkroom"]), tensors


def _at_rest(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _packed(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """A scheduler's attribute as JSON; tensors go into `tensors` and leave their name here."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        name = f"history.{len(tensors)}"
        tensors[name] = _at_rest(value)
        return {"tensor": name, "on_cpu": value.device.type == "cpu"}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return {"list": [_packed(item, tensors) for item in value]}
    raise CheckpointRefusedError(f"the sampler keeps a {type(value).__name__}, which no checkpoint holds")


def _unpacked(value: Any, tensors: Mapping[str, torch.Tensor], device: torch.device) -> Any:
    if not isinstance(value, dict):
        return value
    if "list" in value:
        return [_unpacked(item, tensors, device) for item in value["list"]]
    tensor = tensors[value["tensor"]]
    return tensor if value["on_cpu"] else tensor.to(device)


def _same(value: Any, fresh: Any) -> bool:
    """Whether an attribute still is what a fresh scheduler has; only equal types and exact values count."""
    if type(value) is not type(fresh):
        return False
    if isinstance(value, torch.Tensor):
        return value.dtype == fresh.dtype and torch.equal(value, fresh)
    if isinstance(value, np.ndarray):
        return np.array_equal(value, fresh)
    if isinstance(value, list | tuple):
        return len(value) == len(fresh) and all(_same(a, b) for a, b in zip(value, fresh, strict=True))
    return bool(value == fresh)
