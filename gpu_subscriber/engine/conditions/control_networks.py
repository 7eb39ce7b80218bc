"""Control networks: they steer a Run by a control image, such as edges or a depth map.

Equal to diffusers' ControlNet pipelines. The control image is encoded once, in `prepare`. In each
step the network returns residuals, which the denoiser adds to its own. They are multiplied by each
row's scale, so that Runs with different scales share a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import EngineError
from gpu_subscriber.engine.families.starting_image import ImageEncoder, pixels_of
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import Batch, Rows

CONTROLNET = "controlnet"
"""The name of a batch's control network, among its rows."""
_IMAGE, _SCALE, _MASK = "control_image", "control_scale", "encoder_attention_mask"


class ControlNetworks:
    """The control networks of Stable Diffusion and SDXL, by name."""

    def __init__(self, networks: Mapping[str, Any]) -> None:
        self.networks = networks
        for network in networks.values():
            _encode_once(network)
            _mask_texts(network)

    def prepared(
        self,
        parameters: GenerationParameters,
        inputs: Inputs,
        *,
        family: ImageEncoder,
        generator: torch.Generator,
    ) -> Rows:
        """Return the encoded control image and its scale; nothing if the task has none."""
        if parameters.controlnet is None:
            return {}
        network = self.networks.get(parameters.controlnet)
        if network is None:
            raise EngineError(f"the model has no control network {parameters.controlnet!r}")
        # As in the stock calls: convolutions round by the memory layout, and by the size of the batch.
        pixels = pixels_of("control_image", inputs).contiguous().repeat(parameters.passes_per_step, 1, 1, 1)
        encoded = self.encoded(network, pixels.to(family.device), family=family, generator=generator)
        return {_IMAGE: encoded[:1], _SCALE: torch.tensor([parameters.control_scale], device=family.device)}

    def encoded(
        self, network: Any, pixels: torch.Tensor, *, family: ImageEncoder, generator: torch.Generator
    ) -> torch.Tensor:
        """Encode control images, (B, 3, H, W) in [0, 1]."""
        encoded: torch.Tensor = network.encode_control(pixels.to(network.dtype))
        return encoded

    def with_residuals(self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch) -> Batch:
        """Return what the denoiser receives: the residuals in the place of the control image."""
        network, texts = self.networks[rows[CONTROLNET]], rows["encoder_hidden_states"]
        network.text_mask = rows.get(_MASK)
        down, middle = network(
            latents,
            timesteps,
            encoder_hidden_states=texts,
            controlnet_cond=rows[_IMAGE],
            added_cond_kwargs={key: rows[key] for key in ("text_embeds", "time_ids") if key in rows},
            return_dict=False,
        )
        scale = rows[_SCALE]
        return {
            **_without_control(rows),
            "down_block_additional_residuals": _scaled(down, scale),
            "mid_block_additional_residual": _scaled([middle], scale)[0],
        }


class FluxControlNetworks(ControlNetworks):
    """The control networks of FLUX.1, whose control images are encoded by the autoencoder."""

    def __init__(self, networks: Mapping[str, Any]) -> None:
        self.networks = networks

    def encoded(
        self, network: Any, pixels: torch.Tensor, *, family: ImageEncoder, generator: torch.Generator
    ) -> torch.Tensor:
        """Encode control images to latents, which draws from the generator."""
        encoding = family.encode_image(pixels * 2 - 1)
        grid = family.scaled(retrieve_latents(encoding, generator=generator))
        return family.packed(grid.to(family.denoiser.dtype))

    def with_residuals(self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch) -> Batch:
        """Return what the transformer receives; `rows` contain the positions of the tokens."""
        network = self.networks[rows[CONTROLNET]]
        asked = _without_control(rows)
        if not network.config.guidance_embeds:
            asked.pop("guidance", None)
        blocks, single_blocks = network(
            hidden_states=latents,
            timestep=timesteps,
            controlnet_cond=rows[_IMAGE],
            **asked,
            return_dict=False,
        )
        scale = rows[_SCALE]
        return {
            **_without_control(rows),
            "controlnet_block_samples": None if blocks is None else _scaled(blocks, scale),
            "controlnet_single_block_samples": None
            if single_blocks is None
            else _scaled(single_blocks, scale),
        }


def _without_control(rows: Batch) -> Batch:
    """Return the rows that the denoiser itself receives."""
    return {name: row for name, row in rows.items() if name not in (CONTROLNET, _IMAGE, _SCALE)}


def _scaled(residuals: Sequence[torch.Tensor], scale: torch.Tensor) -> list[torch.Tensor]:
    """Multiply each row by its scale, in float32 as a Python float would."""
    return [
        (residual.float() * scale.view(-1, *[1] * (residual.ndim - 1))).to(residual.dtype)
        for residual in residuals
    ]


def _encode_once(network: Any) -> None:
    """Take the encoding of the control image out of the network's steps."""
    if not hasattr(network, "encode_control"):
        network.encode_control = network.controlnet_cond_embedding
        network.controlnet_cond_embedding = torch.nn.Identity()


def _mask_texts(network: Any) -> None:
    """Pass the mask of padded texts to the blocks: the network's call has no argument for it."""
    if hasattr(network, "text_mask"):
        return
    network.text_mask = None

    def add_mask(block: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if network.text_mask is None:
            return None
        hidden = named["hidden_states"] if "hidden_states" in named else given[0]
        bias = ((1 - network.text_mask.to(hidden.dtype)) * -10_000.0).unsqueeze(1)
        return given, {**named, "encoder_attention_mask": bias}

    for block in (*network.down_blocks, network.mid_block):
        if getattr(block, "has_cross_attention", False):
            block.register_forward_pre_hook(add_mask, with_kwargs=True)
