"""The choice of the kernel for attention. A CPU has two of torch's kernels, so both can be tried here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.reproduce import load_like
from gpu_subscriber.engine.runs.run import Denoising
from gpu_subscriber.engine.tuning.attention import choose_attention, fastest
from tests.factories import environment
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing, spec

PLAIN, FLASH = "MATH", "FLASH_ATTENTION"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({None: 1.0, PLAIN: 2.0, FLASH: 0.9}, FLASH),
        ({None: 1.0, FLASH: 0.99}, None),
        ({None: 1.0}, None),
        ({FLASH: 2.0}, FLASH),
        ({}, None),
    ],
    ids=["faster", "hardly faster", "no kernel", "own one fails", "all fail"],
)
def test_kernel_is_chosen_when_clearly_faster(
    seconds: Mapping[str | None, float], expected: str | None
) -> None:
    assert fastest(seconds) == expected


def test_each_kernel_is_tried_and_unavailable_ones_are_skipped(stock: Any) -> None:
    class Trying(StableDiffusion):
        tried: tuple[str | None, ...] = ()

        def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
            self.tried += (self.origin.attention,)
            return super().predict(states)

    family = Trying(stock)
    choose_attention(family, drawing(), CPU, kernels=("CUDNN_ATTENTION", PLAIN, FLASH))
    assert {None, "CUDNN_ATTENTION", PLAIN, FLASH} == set(family.tried)
    assert family.origin.attention in (None, PLAIN, FLASH)


def test_kernel_is_used_and_recorded(stock: Any) -> None:
    family = StableDiffusion(stock)
    family.use_attention("CUDNN_ATTENTION", only=True)
    with pytest.raises(RuntimeError, match="No viable backend"):
        family.predict([family.prepare(drawing(), seed=1)])
    family.use_attention(PLAIN)
    driven = DrivenEngine(family)
    driven.draw()
    assert family.origin.environment.attention == PLAIN
    assert driven.drawn_runs == ["run"]


def test_other_kernels_compute_what_the_chosen_one_cannot(stock: Any) -> None:
    family = StableDiffusion(stock)
    state = family.prepare(drawing(), seed=1)
    (own,) = family.predict([state])
    family.use_attention("CUDNN_ATTENTION")
    (other,) = family.predict([state])
    torch.testing.assert_close(other, own, rtol=1e-4, atol=1e-5)


def test_image_is_reproduced_with_its_kernel(stable_diffusion_folder: Any) -> None:
    model = spec(source=str(stable_diffusion_folder))
    there = environment(threads=1, attention=PLAIN)
    assert load_like(model, there).origin.environment.attention == PLAIN
    assert load_like(model, environment(threads=1)).origin.environment.attention is None
