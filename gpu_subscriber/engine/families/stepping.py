"""What the step engine asks of a family whose Runs share forward passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.origin import Origin
from gpu_subscriber.engine.previews import LatentColours
from gpu_subscriber.engine.run import Denoising


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A finished picture, still on the device: `pixels` (H, W, 3) uint8 RGB, and two verdicts, 0-dim bools.

    Both judge the decoder's floats, before they are clamped and rounded: a black sky comes out of rounding as one
    colour, of the decoder never.
    """

    pixels: torch.Tensor
    finite: torch.Tensor
    """Whether every number is finite."""
    varied: torch.Tensor
    """Whether any channel has more than one value."""


class SteppingFamily(Protocol):
    """Three functions over a stock pipeline, which called alone is the oracle for each of them."""

    colours: LatentColours
    origin: Origin

    def prepare(self, parameters: GenerationParameters, *, seed: int) -> Denoising:
        """Everything up to the first step; raises whatever the prompt's encoding raises."""

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        """One guided prediction (1, C, h, w) for each state, from one forward pass. Changes no state."""

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        """The picture of a state that is done; `tiled` trades time for memory."""
