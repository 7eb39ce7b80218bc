"""Qwen-Image-Edit: edits a picture by an instruction. The text encoder sees the picture, too."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit
from PIL import Image

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.edited_picture import EditedPicture, with_edited_picture
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind
from gpu_subscriber.engine.errors import MissingInputError
from gpu_subscriber.engine.families.decoded import channels_of
from gpu_subscriber.engine.families.qwen_image import QwenImage
from gpu_subscriber.engine.families.starting_image import Starting
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import Batch, Rows

_AREA = 1024 * 1024
"""The pixels of each picture as the model sees it."""


@dataclass(frozen=True, slots=True)
class _SeenPicture:
    """A picture in the size in which the model sees it; equal to another one of the same file and size."""

    id: str | None
    size: tuple[int, int]
    image: Image.Image = field(compare=False, repr=False)


class QwenImageEdit(QwenImage):
    """`QwenImageEditPipeline.__call__` for a picture with the aspect ratio of the image."""

    def kinds(self, parameters: GenerationParameters, inputs: Inputs) -> tuple[Kind, Kind]:
        """Encode both texts with the picture."""
        seen = self._seen(parameters, inputs)
        return Kind(is_negative=True, picture=seen), Kind(picture=seen)

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return the embeddings of the picture and each prompt, without padding. Each has its own pass."""
        image = kind.picture.image if isinstance(kind.picture, _SeenPicture) else None
        found = [self.pipeline.encode_prompt(text, image=image, device=self.device) for text in texts]
        return [{"encoder_hidden_states": embeddings} for embeddings, _ in found]

    def starting_image(
        self, parameters: GenerationParameters, inputs: Inputs, generator: torch.Generator
    ) -> Starting | None:
        """Return the picture to edit."""
        seen = self._seen(parameters, inputs)
        pixels = self.pipeline.image_processor.preprocess(seen.image, *self._seen_size(seen.size))
        return EditedPicture.of_pixels(self, pixels.to(self.device))

    def image_sizes(self, size: tuple[int, int]) -> Sequence[tuple[int, int]]:
        """Return the sizes of the image and of the picture."""
        return [size, self._seen_size(size)]

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Scale as the stock call does for a picture to edit, which divides."""
        config, grid = self.pipeline.vae.config, latents[:, :, 0]
        mean, deviation = (
            channels_of(values, like=grid) for values in (config.latents_mean, config.latents_std)
        )
        return (grid - mean) / deviation

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer, which reads the picture's tokens after the latents."""
        tokens = latents.shape[1]
        latents, rows = with_edited_picture(latents, rows)
        return super().forward(latents, timesteps, rows, size)[:, :tokens]

    def _seen(self, parameters: GenerationParameters, inputs: Inputs) -> _SeenPicture:
        picture = inputs.get("image")
        if picture is None:
            raise MissingInputError("`image` was not delivered to the engine")
        image = Image.frombytes("RGB", (picture.width, picture.height), picture.pixels)
        size = (picture.height, picture.width)
        resized: Any = self.pipeline.image_processor.resize(image, *self._seen_size(size))
        return _SeenPicture(parameters.image, size, resized)

    @staticmethod
    def _seen_size(size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width in which the model sees a picture of this size."""
        height, width = size
        width, height, _ = pipeline_qwenimage_edit.calculate_dimensions(_AREA, width / height)
        return height, width
