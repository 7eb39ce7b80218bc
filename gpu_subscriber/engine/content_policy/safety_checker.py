"""SafetyChecker: the classifier of Stable Diffusion 1, for images of every model."""

from pathlib import Path
from typing import Any, Self

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch.nn import functional
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from gpu_subscriber.engine.content_policy.pipeline_checker import CheckedEmbeddings, has_finite_weights
from gpu_subscriber.engine.families.decoded import channels_of


class SafetyChecker:
    """Compares CLIP's embedding of an image with those of refused concepts.

    CLIP reads a square. An image that is not square is checked in as many overlapping squares as
    cover it, and refused if any of them is, or if its embedding is not finite.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._side: int = model.config.vision_config.image_size
        self._embeddings = CheckedEmbeddings(model)

    @classmethod
    def loaded(cls, folder: Path, device: torch.device) -> Self:
        """Load from a folder with `config.json` and `model.safetensors`.

        Raises OSError, and ValueError for a file that lacks weights, which would be random numbers, or
        has some that are not finite, with which no image would be refused.
        """
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        architecture: Any = StableDiffusionSafetyChecker
        model, report = architecture.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        if missing := {*report["missing_keys"], *report["mismatched_keys"]}:
            raise ValueError(
                f"{folder} lacks {len(missing)} weights of a safety checker, such as {min(missing)}"
            )
        if not has_finite_weights(model):
            raise ValueError(f"{folder} has weights of a safety checker that are not finite")
        return cls(model.to(device).eval(), device)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        squares = self.squares_of(pixels)
        unused = torch.zeros(len(squares), 1, device=self._device)
        _, refused = self._model.forward_onnx(squares.to(self._model.dtype), unused)
        # No comparison with a number that is not finite is true.
        return refused.any() | ~self._embeddings.are_finite

    def squares_of(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what CLIP reads of an image (H, W, 3) uint8: squares (n, 3, side, side), normalised."""
        image = pixels.to(self._device).permute(2, 0, 1)[None].float() / 255
        height, width = image.shape[-2:]
        shorter, side = min(height, width), self._side
        size = (max(side, round(height * side / shorter)), max(side, round(width * side / shorter)))
        resized = functional.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        normal = (resized - channels_of(OPENAI_CLIP_MEAN, like=resized)) / channels_of(
            OPENAI_CLIP_STD, like=resized
        )
        return torch.cat(
            [
                normal[..., top : top + side, left : left + side]
                for top in _starts(size[0], side)
                for left in _starts(size[1], side)
            ]
        )


def _starts(length: int, side: int) -> list[int]:
    """Return the begins of the fewest squares that cover a length, at equal distances."""
    count = -(-length // side)
    return [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
