"""Initial weights of the decoder: an upsampler of the latents' colours, refined by training.

From random weights, a network with many norms is slow to learn the brightness of the image,
although it is an input. So each residual branch starts at zero, each upsampling as a linear
interpolation, and two channels hold only constants. These are so large that the divisors of the
norms depend little on the image.
"""

import math
from typing import Any

import torch
from torch import nn

from gpu_subscriber.demo_model.training.networks import Autoencoder
from gpu_subscriber.demo_model.training.taught_latents import COLOUR_SCALE

CONSTANTS = 2
"""The last two channels, with opposite signs. Few large ones, not many small ones: all weights that
read a constant learn in step, and together destabilize the layers that they feed.
"""
CONSTANT_VARIANCE = 1.0
"""Share of the constants in the variance of all channels, about as much as the colours."""
LINEAR_AROUND = 3.0
SLOPE_THERE = 1.088
"""SiLU is nearly linear around 3; its distortions of a colour and its negative cancel out."""
TYPICAL_DEVIATION = 1.3
"""Of all channels of the last layer: constants, colours and the others."""
COLOURS = 3
"""The first channels; the next three are their negatives: norms, which subtract the mean, keep them."""


@torch.no_grad()
def begin_as_upsampler(autoencoder: Autoencoder) -> None:
    """Initialize the decoder in place.

    Channels other than colours and constants start as random mixtures of the latents.
    """
    decoder = autoencoder.decoder
    _set_identity(autoencoder.post_quant_conv)
    _begin_stream(decoder.conv_in)
    for block in (decoder.mid_block, *decoder.up_blocks):
        for resnet in block.resnets:
            nn.init.zeros_(resnet.conv2.weight)
            nn.init.zeros_(resnet.conv2.bias)
            if resnet.conv_shortcut is not None:
                _set_narrowing(resnet.conv_shortcut)
        for upsampler in getattr(block, "upsamplers", None) or ():
            _set_smoothing(upsampler.conv)
    _end_stream(decoder.conv_norm_out, decoder.conv_out)


def _begin_stream(conv: Any) -> None:
    """Initialize (4 latents → c): colours, their negatives, random mixtures of latents, constants."""
    conv.weight[: 2 * COLOURS] = 0.0
    conv.weight[-CONSTANTS:] = 0.0
    conv.bias.zero_()
    for channel in range(COLOURS):
        conv.weight[channel, channel, 1, 1] = 1.0
        conv.weight[COLOURS + channel, channel, 1, 1] = -1.0
    constant = _constant(conv.out_channels)
    conv.bias[-CONSTANTS:] = torch.tensor([constant, -constant])


def _end_stream(norm: Any, conv: Any) -> None:
    """Set `conv` to undo the division by the norm, whose divisor is approximately known."""
    norm.bias[: 2 * COLOURS] = LINEAR_AROUND
    conv.weight.zero_()
    conv.bias.zero_()
    for channel in range(COLOURS):
        half = TYPICAL_DEVIATION / (2 * SLOPE_THERE * COLOUR_SCALE)
        conv.weight[channel, channel, 1, 1] = half
        conv.weight[channel, COLOURS + channel, 1, 1] = -half


def _set_identity(conv: Any) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    middle = conv.kernel_size[0] // 2
    for channel in range(conv.out_channels):
        conv.weight[channel, channel, middle, middle] = 1.0


def _set_smoothing(conv: Any) -> None:
    """Make it a linear interpolation, after an upsampling that repeats each cell."""
    conv.weight.zero_()
    conv.bias.zero_()
    along = torch.tensor([0.25, 0.5, 0.25])
    for channel in range(conv.out_channels):
        conv.weight[channel, channel] = along[:, None] * along


def _set_narrowing(conv: Any) -> None:
    """Initialize (more → fewer channels): the first ones and the constants are passed through."""
    conv.weight.zero_()
    conv.bias.zero_()
    for channel in range(conv.out_channels - CONSTANTS):
        conv.weight[channel, channel, 0, 0] = 1.0
    for number in range(-CONSTANTS, 0):
        conv.weight[number, number, 0, 0] = _constant(conv.out_channels) / _constant(conv.in_channels)


def _constant(channels: int) -> float:
    return math.sqrt(CONSTANT_VARIANCE * channels / CONSTANTS)
