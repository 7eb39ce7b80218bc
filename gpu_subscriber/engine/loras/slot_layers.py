"""Layers that add LoRAs to their result, with a different set for each row of a batch.

A layer holds a row of slots: `down` (slots, rank, in) and `up` (slots, out, rank). A slot has one
set of LoRAs, joined along the rank, with the scales in `up`; slot 0 is zero. The shapes are the
same whatever is in the slots, so compiled code survives a change of LoRAs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional


@dataclass(slots=True, eq=False)
class Selection:
    """The slots of the next forward pass, shared by all layers of a bank."""

    rows: torch.Tensor | None = None
    """The slot of each row; None if no row has a LoRA, which skips all of this."""
    rank: int = 0
    """The largest rank of the selected sets: higher ranks of the slots are zero, and left out."""
    is_uniform: bool = True
    """Whether all rows have the same slot."""


class _Slotted(torch.nn.Module):
    """What `SlotLinear` and `SlotConv2d` add to their base classes."""

    selection: Selection
    down: torch.Tensor | None
    up: torch.Tensor | None

    def _chosen(
        self, given: torch.Tensor, rows: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the matrices of each row, or of one row for all; None, None for a layer without slots."""
        if self.down is None or self.up is None:
            return None, None
        if self.selection.is_uniform:
            rows = rows[:1]
        elif len(given) != len(rows):
            # A network that joins the tokens of all rows has no rows here.
            raise ValueError("different LoRAs cannot share this layer's pass")
        rank = self.selection.rank
        return self.down[:, :rank].index_select(0, rows), self.up[:, :, :rank].index_select(0, rows)


class SlotLinear(_Slotted, torch.nn.Linear):
    """A linear layer with slots."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        result = torch.nn.Linear.forward(self, given)
        if (rows := self.selection.rows) is None:
            return result
        down, up = self._chosen(given, rows)
        if down is None or up is None:
            return result
        if self.selection.is_uniform:
            return result + functional.linear(functional.linear(given, down[0]), up[0])
        flat = given.reshape(len(given), -1, self.in_features)
        change = torch.bmm(torch.bmm(flat, down.mT), up.mT)
        return result + change.reshape(result.shape)


class SlotConv2d(_Slotted, torch.nn.Conv2d):
    """A convolution with slots. Its `down` (slots, rank, in, height, width) is one per group of rows."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        result = torch.nn.Conv2d.forward(self, given)
        if (rows := self.selection.rows) is None:
            return result
        down, up = self._chosen(given, rows)
        if down is None or up is None:
            return result
        convolve: Callable[..., torch.Tensor] = functional.conv2d
        geometry = (None, self.stride, self.padding, self.dilation)
        if self.selection.is_uniform:
            return result + convolve(convolve(given, down[0], *geometry), up[0][:, :, None, None])
        count, channels, height, width = given.shape
        # A group per row: each row is convolved with its own kernels.
        inner = convolve(
            given.reshape(1, count * channels, height, width), down.flatten(0, 1), *geometry, count
        )
        change = torch.bmm(up, inner.reshape(count, down.shape[1], -1))
        return result + change.reshape(result.shape)


def slotted(module: Any, selection: Selection) -> "SlotLinear | SlotConv2d":
    """Turn a layer into one with slots, in place: its weights and the names of its tensors stay.

    Replacing the module would rename its weights, whose names checkpoints, digests and quantized
    networks use.
    """
    if not isinstance(module, _Slotted):
        module.__class__ = SlotLinear if isinstance(module, torch.nn.Linear) else SlotConv2d
    module.down = module.up = None
    module.selection = selection
    return module
