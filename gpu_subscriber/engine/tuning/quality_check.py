"""The quality check of a quantized model: a few images before and after, at its first load."""

from collections.abc import Callable
from dataclasses import asdict

import structlog
import torch

from common.domain.models.model_files import Quantization
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.image_difference import ImageDifference
from gpu_subscriber.engine.tuning.trial_images import trial_images

_log = structlog.get_logger()

LEAST_PSNR = 30.0
"""dB. A quantized model is another model to a small degree: details may move, but not what is shown."""
LEAST_SSIM = 0.9


def quantize_and_check(
    family: GuidedFamily,
    parameters: GenerationParameters,
    kind: Quantization,
    quantize: Callable[[torch.nn.Module, Quantization], None],
) -> None:
    """Quantize the family's denoiser. Raises ModelRefusedError if its images differ too much."""
    exact = trial_images(family, parameters)
    family.quantize(kind, quantize)
    difference = ImageDifference.between(trial_images(family, parameters), exact)
    figures = {name: round(value, 4) for name, value in asdict(difference).items()}
    _log.info("quantization_checked", model=parameters.model, quantization=kind, **figures)
    if not (difference.psnr >= LEAST_PSNR and difference.ssim >= LEAST_SSIM):
        raise ModelRefusedError(
            f'`quantization`: "{kind}" changes images too much: {difference.psnr:.1f} dB and an SSIM of '
            f"{difference.ssim:.3f}, at least {LEAST_PSNR:.0f} dB and {LEAST_SSIM} are needed; leave it out"
        )
