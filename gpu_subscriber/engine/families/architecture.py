"""What a family states about its architecture.

The defaults are those of most pipelines. `size` is (height, width) in pixels. All rows and latents
have a leading dimension of 1 for one Run.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.utils.torch_utils import randn_tensor

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.control_networks import CONTROLNET, ControlNetworks
from gpu_subscriber.engine.conditions.ip_adapters import IpAdapters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind
from gpu_subscriber.engine.families.decoded import scaled, unscaled
from gpu_subscriber.engine.families.starting_image import Starting, StartingImage
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.models.samplers import new_scheduler
from gpu_subscriber.engine.runs.run import Batch, Rows


class Architecture:
    """The methods that a family overrides, over the components of a loaded stock pipeline."""

    pipeline: Any
    denoiser: Any
    device: torch.device
    controls: ControlNetworks
    ip_adapters: IpAdapters

    network: ClassVar[str] = "transformer"
    """The component that predicts."""
    branches_share_a_pass: ClassVar[bool] = True
    """Whether both branches go through the denoiser in one forward pass, as in the stock call."""

    text_lengths_differ: ClassVar[bool] = False
    """Whether the denoiser reads each prompt in its own length. Compiled code is for fixed shapes."""

    control_networks: ClassVar[type[ControlNetworks]] = ControlNetworks
    """How its control networks are called."""

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return what the denoiser receives of each prompt, as the stock call encodes it: in one pass."""
        raise NotImplementedError

    def encode_negative(self, texts: list[str | None], kind: Kind) -> list[Rows]:
        """Return what the denoiser receives of negative prompts; None stands for an omitted one."""
        return self.encode([text or "" for text in texts], kind)

    def kinds(self, parameters: GenerationParameters, inputs: Inputs) -> tuple[Kind, Kind]:
        """Return how the negative prompt and the prompt are encoded, apart from LoRAs."""
        return Kind(is_negative=True), Kind()

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return what the denoiser receives besides the text, such as sizes; the same in each branch."""
        return {}

    @property
    def latent_channels(self) -> int:
        """The channels of the latents."""
        channels: int = self.denoiser.config.in_channels
        return channels

    def generated_size(self, parameters: GenerationParameters) -> tuple[int, int]:
        """Return the size in which the stock call generates, before it resizes the image."""
        return parameters.height, parameters.width

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the seeded noise, in the shape in which the denoiser takes latents."""
        height, width = (side // self.pipeline.vae_scale_factor for side in self.generated_size(parameters))
        shape = (1, self.latent_channels, height, width)
        return randn_tensor(shape, generator=generator, device=self.device, dtype=dtype)

    def schedule(self, parameters: GenerationParameters, noise: torch.Tensor) -> Any:
        """Return a new scheduler with its timesteps set, on the CPU."""
        return new_scheduler(parameters.sampler, self.pipeline.scheduler, steps=parameters.steps)

    def stack(self, rows: Sequence[Rows]) -> Batch:
        """Return what the denoiser receives of a batch, from each Run's rows.

        Called again only when the batch changes.
        """
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the denoiser once: (B, …) latents, (B,) float32 timesteps, rows of B → (B, …) predictions."""
        raise NotImplementedError

    def guide(self, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> torch.Tensor:
        """Return the guided prediction of one Run.

        The scale is a Python float, as in the stock call: a tensor of scales would round differently in
        half precision.
        """
        return negative + scale * (positive - negative)

    def controlled(self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch) -> Batch:
        """Return the rows with a control network's residuals, if the batch has one."""
        return self.controls.with_residuals(latents, timesteps, rows) if CONTROLNET in rows else rows

    def unpacked(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return a Run's latents as a grid, (1, C, h, w), still scaled."""
        return latents

    def unscaled(self, grid: torch.Tensor) -> torch.Tensor:
        """Return what the autoencoder decodes, from a grid of latents."""
        return unscaled(grid, self.pipeline.vae.config)

    def decode_latents(self, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Run the autoencoder's decoder: `unscaled`'s result → (1, 3, H, W) in about [-1, 1]."""
        image: torch.Tensor = self.pipeline.vae.decode(latents, return_dict=False)[0]
        return image

    def starting_image(
        self, parameters: GenerationParameters, inputs: Inputs, generator: torch.Generator
    ) -> Starting | None:
        """Return the picture that a Run starts from, encoded; None if it starts from noise."""
        return StartingImage.encoded(self, parameters, inputs, generator)

    def skipped_steps(self, parameters: GenerationParameters) -> int:
        """Return how many of the first steps a Run that starts from a picture leaves out."""
        return parameters.steps - parameters.computed_steps

    def encode_image(self, pixels: torch.Tensor) -> Any:
        """Run the autoencoder's encoder: (1, 3, H, W) in [-1, 1] → its output, with (1, C, h, w) latents."""
        vae = self.pipeline.vae
        return vae.encode(pixels.to(vae.dtype))

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Return a grid of latents in the denoiser's scale: the inverse of `unscaled`."""
        return scaled(latents, self.pipeline.vae.config)

    def packed(self, grid: torch.Tensor) -> torch.Tensor:
        """Return a grid of latents in the denoiser's shape: the inverse of `unpacked`."""
        return grid

    def resized(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return a decoded image in the requested size, where the stock call generates in another one."""
        return image

    @property
    def decodes_beside_steps(self) -> bool:
        """Whether decoding changes nothing that a step or a preparation uses."""
        return True

    @property
    def decodes_in_batches(self) -> bool:
        """Whether an image does not depend on the others that are decoded with it."""
        return True

    def check(self, image: torch.Tensor) -> None:
        """Raise ContentFilteredError if the model's own filter refuses a decoded image."""


def padded(rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stack (1, L, …) rows of different lengths: (B, longest, …), zeros at the end of shorter ones.

    Also returns the mask of the valid places, (B, longest) bool; None if all of them are valid.
    """
    lengths = [row.shape[1] for row in rows]
    if min(lengths) == max(lengths):
        return torch.cat(list(rows)), None
    stacked = rows[0].new_zeros(len(rows), max(lengths), *rows[0].shape[2:])
    mask = torch.zeros(stacked.shape[:2], dtype=torch.bool, device=stacked.device)
    for row, length, values, valid in zip(rows, lengths, stacked, mask, strict=True):
        values[:length] = row[0]
        valid[:length] = True
    return stacked, mask
