"""The interface of a family whose Runs share forward passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.models.model_provenance import ModelProvenance
from gpu_subscriber.engine.runs.previews import LatentColours
from gpu_subscriber.engine.runs.run import Denoising


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A finished image on the device: `pixels` (H, W, 3) uint8 RGB, and two verdicts, 0-dim bools.

    Both verdicts use the decoder's floats, before clamping and rounding: a black sky may round to
    one colour, but the decoder's floats always vary.
    """

    pixels: torch.Tensor
    finite: torch.Tensor
    """Whether every number is finite."""
    varied: torch.Tensor
    """Whether any channel has more than one value."""


class SteppingFamily(Protocol):
    """Three functions over a stock pipeline. The stock call is the test oracle for each of them."""

    colours: LatentColours
    origin: ModelProvenance

    def prepare(self, parameters: GenerationParameters, *, seed: int) -> Denoising:
        """Do everything up to the first step; raises what the prompt's encoding raises."""

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        """Return one guided prediction (1, C, h, w) per state, from one forward pass.

        Changes no state.
        """

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        """Return the image of a finished state; `tiled` trades time for memory."""
