"""The choice of the number format on a CPU: by speed and by the difference of the images."""

from pathlib import Path

import pytest
import torch

from common.domain.models.spec import ModelSpec
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.models.loading import Family, load_family
from gpu_subscriber.engine.tuning.image_difference import ImageDifference
from gpu_subscriber.engine.tuning.precision import (
    Trial,
    Verdict,
    has_bfloat16_instructions,
    load_in_better_precision,
)
from gpu_subscriber.engine.tuning.warm_up import default_parameters
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, spec

GREY = torch.full((2, 16, 16, 3), 100, dtype=torch.uint8)
NOISY = GREY + torch.randint(0, 60, GREY.shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def trial(seconds: float, images: torch.Tensor = GREY) -> Trial:
    return Trial(seconds=seconds, images=images)


@pytest.mark.parametrize(
    ("fast", "chosen"),
    [
        (trial(0.6), "bfloat16"),
        (trial(0.6, GREY + 2), "bfloat16"),
        (trial(0.95), "float32"),
        (trial(1.5), "float32"),
        (trial(0.6, GREY + 8), "float32"),
        (trial(0.6, NOISY), "float32"),
        (trial(0.6, GREY * 0), "float32"),
    ],
    ids=["equal", "two levels brighter", "hardly faster", "slower", "brighter", "noisy", "black"],
)
def test_bfloat16_is_chosen_when_faster_and_alike(fast: Trial, chosen: str) -> None:
    assert Verdict.of(trial(1.0), fast).dtype == chosen


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("model name\t: avx512_bf16\n", False),
    ],
)
def test_processor_flags_state_whether_it_has_bfloat16(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bfloat16_instructions(tmp_path / "cpuinfo") is expected
    assert not has_bfloat16_instructions(tmp_path / "missing")


class Loads:
    """Loads the tiny model, in which bfloat16 takes `share` of the time, and records the formats."""

    def __init__(self, folder: Path, *, share: float) -> None:
        self.model = spec(source=str(folder))
        self.share = share
        self.formats: list[str] = []

    def load(self, model: ModelSpec) -> Family:
        self.formats.append(model.dtype)
        return load_family(model, CPU)

    def trial_of(self, family: GuidedFamily) -> Trial:
        return trial(self.share if family.denoiser.dtype == torch.bfloat16 else 1.0)


@pytest.mark.parametrize(
    ("share", "chosen", "formats"),
    [(0.5, "bfloat16", ["float32", "bfloat16"]), (0.99, "float32", ["float32", "bfloat16", "float32"])],
)
def test_model_is_loaded_in_the_better_format(
    stable_diffusion_folder: Path, share: float, chosen: str, formats: list[str]
) -> None:
    loads = Loads(stable_diffusion_folder, share=share)
    family, dtype = load_in_better_precision(loads.model, loads.load, loads.trial_of)
    assert (dtype, loads.formats) == (chosen, formats)
    assert family.origin.environment.dtype == chosen


def test_whole_pipelines_stay_in_float32(stable_diffusion_folder: Path, whole: WholePipeline) -> None:
    loads = Loads(stable_diffusion_folder, share=0.1)
    found = load_in_better_precision(spec(family="whole_pipeline"), lambda _: whole, loads.trial_of)
    assert found == (whole, "float32")


def test_trial_times_an_image_and_generates_some(stable_diffusion_folder: Path) -> None:
    model = spec(source=str(stable_diffusion_folder))
    family = load_family(model, CPU)
    assert isinstance(family, GuidedFamily)
    found = Trial.of(family, default_parameters(model), CPU)
    assert found.seconds > 0
    assert found.images.shape == (2, 32, 32, 3)
    assert not torch.equal(found.images[0], found.images[1])


def test_measured_setting_starts_with_float32_on_a_cpu() -> None:
    chosen = Device.chosen(EngineSettings(models=(), device="cpu", dtype="measured", cpu_threads=1))
    assert chosen.dtype == torch.float32


# ── the figures ──────────────────────────────────────────────────────────────────────────────────────────


def test_difference_of_equal_images_is_zero() -> None:
    found = ImageDifference.between(NOISY, NOISY)
    assert (found.mean, found.largest, found.psnr) == (0.0, 0, float("inf"))
    assert found.ssim == pytest.approx(1.0)


def test_difference_of_a_constant_shift_is_known() -> None:
    found = ImageDifference.between(GREY, GREY + 2)
    assert (found.mean, found.largest) == (2.0, 2)
    assert found.psnr == pytest.approx(42.11, abs=0.01)  # 10 log10(255² / 4)
    assert found.ssim > 0.999


def test_difference_of_noise_has_a_low_similarity() -> None:
    found = ImageDifference.between(GREY, NOISY)
    assert found.ssim < 0.3
    assert ImageDifference.between(NOISY, GREY) == found
