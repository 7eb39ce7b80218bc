"""Checkpoints: a Run's complete state between two steps, as bytes, and back.

    "DRKRCKPT" · SHA-256 of the rest (32 bytes) · safetensors: latents, generator and solver history;
        their metadata holds JSON with the format's version and the identity that must match

The history is every attribute in which the Run's scheduler differs from its state at the start. So
a new sampler's history is saved without a list of its fields. Prompt embeddings are not saved:
encoding is deterministic. Latents alone would do for DDIM and Euler, and be silently wrong for
DPM++ 2M, UniPC and PNDM.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from common.domain.parameters import GenerationParameters
from common.domain.provenance import Environment
from gpu_subscriber.engine.errors import CheckpointRefusedError
from gpu_subscriber.engine.messages import MAX_CHECKPOINT_BYTES
from gpu_subscriber.engine.models.model_provenance import sampler_config, software_versions
from gpu_subscriber.engine.runs.run import Denoising
from gpu_subscriber.engine.runs.run_history import RunHistory

MAGIC = b"DRKRCKPT"
FORMAT_VERSION = 4
"""Version of the JSON's and the tensors' meaning. A reader accepts only its own version."""
_START = len(MAGIC) + hashlib.sha256().digest_size


def identity_of(state: Denoising, parameters: GenerationParameters, *, index: int) -> dict[str, Any]:
    """Return what must match on resume: image, sampler, weights, precision, kind of device, software.

    The prompt itself is not included. Of the software only major and minor versions count: patch
    releases of these packages leave samplers unchanged.
    """
    asked = parameters.model_dump_json(exclude={"num_images", "output_format", "output_quality", "metadata"})
    return {
        "picture": hashlib.sha256(f"{asked}#{index}".encode()).hexdigest(),
        "model": parameters.model,
        "sampler": sampler_config(state.scheduler),
        "weights": state.fingerprint,
        "precision": f"{state.latents.dtype} on {state.latents.device.type}",
        "software": {name: ".".join(full.split(".")[:2]) for name, full in software_versions().items()},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A Run's state between two steps, with its tensors still on their devices.

    The next step does not change them.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]

    @classmethod
    def of(
        cls, state: Denoising, parameters: GenerationParameters, *, index: int, environment: Environment
    ) -> "Snapshot":
        """Take the snapshot without copying or waiting; `environment` is where its steps were taken.

        Raises CheckpointRefusedError for samplers that cannot be saved.
        """
        tensors = {"latents": state.latents, "generator": state.generator.get_state()}
        history = {
            name: _packed(value, tensors)
            for name, value in vars(state.scheduler).items()
            if name != "_internal_dict" and not _same(value, state.pristine.get(name))
        }
        metadata = {
            "format_version": FORMAT_VERSION,
            "identity": identity_of(state, parameters, index=index),
            "step_index": state.step_index,
            "history": history,
            "past": state.run_history.packed(environment),
        }
        return cls(metadata=metadata, tensors=tensors)

    def as_bytes(self, arrived: Sequence[torch.Tensor]) -> bytes:
        """Return the checkpoint. `arrived` are `tensors` in order, copied to the CPU.

        Raises CheckpointRefusedError when it is too large.
        """
        # Cloned: safetensors accepts neither views of a batch nor a tensor that is stored twice.
        named = {
            name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in zip(self.tensors, arrived, strict=True)
        }
        body = safetensors.torch.save(named, metadata={"darkroom": json.dumps(self.metadata)})
        if _START + len(body) > MAX_CHECKPOINT_BYTES:
            raise CheckpointRefusedError(f"a checkpoint of {len(body)} bytes is too large")
        return MAGIC + hashlib.sha256(body).digest() + body


def restore(
    state: Denoising,
    checkpoint: bytes,
    parameters: GenerationParameters,
    *,
    index: int,
    environment: Environment,
) -> None:
    """Set a freshly prepared state to the checkpoint's step; `environment` is where it resumes.

    Raises CheckpointRefusedError and changes nothing when the checkpoint does not fit.
    """
    metadata, tensors = _opened(checkpoint)
    if metadata["identity"] != identity_of(state, parameters, index=index):
        raise CheckpointRefusedError(
            f"made for another {_first_difference(metadata, state, parameters, index)}"
        )
    latents, step_index = tensors["latents"], metadata["step_index"]
    if latents.shape != state.latents.shape or not 0 <= step_index <= len(state.timesteps):
        raise CheckpointRefusedError("its latents or its step do not fit")
    if any(hasattr(type(state.scheduler), name) for name in metadata["history"]):
        raise CheckpointRefusedError("its sampler keeps another history")
    device = state.latents.device
    history = {name: _unpacked(value, tensors, device) for name, value in metadata["history"].items()}
    run_history = RunHistory.resumed(metadata["past"], step=step_index, here=environment)
    state.generator.set_state(tensors["generator"])
    state.latents = latents.to(device)
    state.step_index = step_index
    state.run_history = run_history
    for name, value in history.items():
        setattr(state.scheduler, name, value)


def _first_difference(
    metadata: Mapping[str, Any], state: Denoising, parameters: GenerationParameters, index: int
) -> str:
    """Return the name of the first mismatch; the order puts the most informative first."""
    here, there = identity_of(state, parameters, index=index), metadata["identity"]
    order = ("model", "weights", "software", "precision", "sampler", "picture")
    return next((name for name in order if here[name] != there.get(name)), "identity")


def _opened(checkpoint: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return metadata and tensors.

    Raises CheckpointRefusedError for every file not written by this version.
    """
    if len(checkpoint) > MAX_CHECKPOINT_BYTES or checkpoint[: len(MAGIC)] != MAGIC:
        raise CheckpointRefusedError("not a checkpoint")
    body = checkpoint[_START:]
    if hashlib.sha256(body).digest() != checkpoint[len(MAGIC) : _START]:
        raise CheckpointRefusedError("damaged: its checksum does not match")
    try:
        header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
        metadata = json.loads(header["__metadata__"]["darkroom"])
        found = metadata["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointRefusedError("its metadata cannot be read") from error
    # Check the version before the other fields: another version may give them another meaning.
    if found != FORMAT_VERSION:
        raise CheckpointRefusedError(f"its format is version {found}, not {FORMAT_VERSION}")
    return metadata, safetensors.torch.load(body)


def _packed(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a scheduler's attribute as JSON.

    Tensors go into `tensors`; the JSON keeps their names.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        name = f"history.{len(tensors)}"
        tensors[name] = value
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


def _same(value: Any, before: Any) -> bool:
    """Return whether an attribute is unchanged; only equal types and exact values count."""
    if value is before:
        return True
    if type(value) is not type(before):
        return False
    if isinstance(value, torch.Tensor):
        return value.dtype == before.dtype and torch.equal(value, before)
    if isinstance(value, np.ndarray):
        return np.array_equal(value, before)
    if isinstance(value, list | tuple):
        return len(value) == len(before) and all(_same(a, b) for a, b in zip(value, before, strict=True))
    return bool(value == before)
