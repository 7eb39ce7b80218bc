"""The number format of a model on a CPU: bfloat16 where it is faster and its images are nearly the same.

Only for `DARKROOM_DTYPE=measured`, because two workers that choose differently generate different
images from one seed.
"""

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
import torch

from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import DtypeChoice
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.tuning.image_difference import ImageDifference
from gpu_subscriber.engine.tuning.memory_formats import choose_memory_formats
from gpu_subscriber.engine.tuning.timing import timed_rounds
from gpu_subscriber.engine.tuning.trial_images import prepared, trial_images

_log = structlog.get_logger()

WORTH_IT = 0.85
"""bfloat16 is chosen only if an image takes less than this share of float32's time."""
LEAST_PSNR = 40.0
"""dB. A mean error of about two levels of 255, which no viewer sees."""
LEAST_SSIM = 0.98
_PROCESSOR_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""How Linux names instructions for bfloat16 on x86 and Arm. Without them torch is slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One number format on this machine: the seconds of an image, and some images."""

    seconds: float
    images: torch.Tensor
    """(N, H, W, 3) uint8."""

    @classmethod
    @torch.inference_mode()
    def of(cls, family: GuidedFamily, parameters: GenerationParameters, device: Device) -> "Trial":
        """Time a shared step and a decoding in the faster memory format, and generate the images."""
        choose_memory_formats(family, parameters, device)
        states = [prepared(family, parameters, seed=seed) for seed in range(2)]
        step = min(timed_rounds(device, lambda: family.predict(states))) / len(states)
        decoding = min(timed_rounds(device, lambda: family.decode(states[0])))
        seconds = parameters.steps * step + decoding
        return cls(seconds=seconds, images=trial_images(family, parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether bfloat16 replaces float32: its share of the time, and the difference of the images."""

    share: float
    difference: ImageDifference

    @classmethod
    def of(cls, exact: Trial, fast: Trial) -> "Verdict":
        """Compare bfloat16 with float32."""
        difference = ImageDifference.between(fast.images, exact.images)
        return cls(share=fast.seconds / exact.seconds, difference=difference)

    @property
    def is_faster(self) -> bool:
        """Whether the time saved is worth any difference."""
        return self.share < WORTH_IT

    @property
    def is_alike(self) -> bool:
        """Whether the images are within the bounds; an image that is not finite never is."""
        return self.difference.psnr >= LEAST_PSNR and self.difference.ssim >= LEAST_SSIM

    @property
    def dtype(self) -> DtypeChoice:
        """The chosen format."""
        return "bfloat16" if self.is_faster and self.is_alike else "float32"


def load_in_better_precision(
    spec: ModelSpec, load: Callable[[ModelSpec], Family], trial_of: Callable[[GuidedFamily], Trial]
) -> tuple[Family, DtypeChoice]:
    """Load a model in the better format, and return that format.

    The two formats are loaded one after the other, so that memory never holds both.
    """
    family = load(in_dtype(spec, "float32"))
    if not isinstance(family, GuidedFamily):
        return family, "float32"
    exact = trial_of(family)
    del family
    gc.collect()
    family = load(in_dtype(spec, "bfloat16"))
    if not isinstance(family, GuidedFamily):
        raise TypeError("the same entry is loaded as another family")
    verdict = Verdict.of(exact, trial_of(family))
    _log.info(
        "precision_chosen",
        model=spec.name,
        dtype=verdict.dtype,
        share_of_float32_time=round(verdict.share, 3),
        **{name: round(value, 4) for name, value in asdict(verdict.difference).items()},
    )
    if verdict.dtype == "float32":
        del family
        gc.collect()
        return load(in_dtype(spec, "float32")), "float32"
    return family, "bfloat16"


def in_dtype(spec: ModelSpec, dtype: DtypeChoice) -> ModelSpec:
    """Return the catalog entry with this number format."""
    return spec.model_copy(update={"dtype": dtype})


def has_bfloat16_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor multiplies matrices of bfloat16."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    named = (line.partition(":") for line in lines)
    flags = next((value for name, _, value in named if name.strip() in ("flags", "Features")), "")
    return bool(_PROCESSOR_FLAGS & set(flags.split()))
