"""Faster layers for training on a CPU: PyTorch's own versions take half of the training time.

Results are equal up to rounding. The exported model does not need these layers.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn


class _GroupNormFunction(torch.autograd.Function):
    """`torch.group_norm` for (N, C, H, W), with a backward of whole-tensor operations.

    PyTorch 2.13's own backward for channels-last bfloat16 takes half of all training time.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take no keywords
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, epsilon: float
    ) -> Tensor:
        n, c, h, w = x.shape
        y, mean, rstd = torch.native_group_norm(
            x, weight.to(x.dtype), bias.to(x.dtype), n, c, h * w, groups, epsilon
        )
        ctx.save_for_backward(x, weight, mean.float(), rstd.float())
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd = ctx.saved_tensors
        gradient = gradients[0]
        n, c, h, w = x.shape
        groups = mean.shape[1]
        per_group = c // groups
        gx_sum = (gradient * x).sum((2, 3), dtype=torch.float32)
        g_sum = gradient.sum((2, 3), dtype=torch.float32)
        mean_c, rstd_c = mean.repeat_interleave(per_group, 1), rstd.repeat_interleave(per_group, 1)
        weight_gradient = ((gx_sum - mean_c * g_sum) * rstd_c).sum(0)
        scale = 1 / (per_group * h * w)
        weighted_gx = (gx_sum * weight).view(n, groups, per_group).sum(2)
        weighted_g = (g_sum * weight).view(n, groups, per_group).sum(2)
        of_x = (weighted_g * mean - weighted_gx) * rstd**3 * scale
        constant = -of_x * mean - weighted_g * rstd * scale
        of_gradient = (rstd_c * weight).to(x.dtype)[:, :, None, None]
        of_x_c = of_x.repeat_interleave(per_group, 1).to(x.dtype)[:, :, None, None]
        constant_c = constant.repeat_interleave(per_group, 1).to(x.dtype)[:, :, None, None]
        x_gradient = torch.addcmul(torch.addcmul(constant_c, x, of_x_c), gradient, of_gradient)
        return x_gradient, weight_gradient, g_sum.sum(0), None, None


class _FastGroupNorm(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4 or input.device.type != "cpu":
            return super().forward(input)
        return _GroupNormFunction.apply(input, self.weight, self.bias, self.num_groups, self.eps)


def quicken(network: nn.Module) -> None:
    """Replace layers in place.

    Parameters keep their names, so that the state dict stays the stock one.
    """
    for module in network.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = _FastGroupNorm
    if isinstance(network, UNet2DConditionModel):
        set_processor: Any = network.set_attn_processor
        set_processor(AttnProcessor())
