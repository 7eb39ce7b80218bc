"""The explanation of a GPU that torch cannot use."""

import pytest
import torch

from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.gpu_driver import GpuUnusableError, problem

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.mark.parametrize(
    ("cuda", "driver", "text"),
    [
        (None, None, "torch has no CUDA"),
        ("13.0", None, "no NVIDIA driver responds .* CUDA 13.0 requires driver 580.65.06 or later"),
        ("13.0", "535.216.03", "driver 535.216.03 is too old: torch's CUDA 13.0 requires 580.65.06 or later"),
        ("12.8", "525.60.12", "driver 525.60.12 is too old"),
        ("12.8", "525.60.13", "cannot use the GPU with the NVIDIA driver 525.60.13"),
        ("13.0", "1000.1", "cannot use the GPU with the NVIDIA driver 1000.1"),
        ("14.0", "580.1", "cannot use the GPU"),
    ],
)
def test_problem_names_both_versions_and_the_lowest_driver(
    cuda: str | None, driver: str | None, text: str
) -> None:
    with pytest.raises(GpuUnusableError, match=text):
        raise GpuUnusableError(problem(cuda=cuda, driver=driver))


def test_device_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(GpuUnusableError):
        Device.chosen(EngineSettings(models=(), device="cuda"))
