"""Compiled networks: every batch size that is served is compiled before the engine is ready."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from gpu_subscriber.engine.batches.filled_batches import filled, sizes_up_to
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.models.loading import compile_blocks
from gpu_subscriber.engine.tuning.compilation import compile_batch_sizes, missing_for_compiling
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing

LARGEST = 8


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 1), (2, 2), (3, 3), (5, 6), (7, 8), (9, 12), (64, 64), (65, 65)]
)
def test_batch_is_filled_up_to_the_next_size(count: int, expected: int) -> None:
    batch = filled(list(range(count)))
    assert len(batch) == expected
    assert batch[:count] == list(range(count))
    assert set(batch[count:]) <= {count - 1}


def test_sizes_cover_the_largest_batch() -> None:
    assert sizes_up_to(1) == (1,)
    assert sizes_up_to(7) == (1, 2, 3, 4, 6, 8)
    assert all(len(filled(list(range(count)))) in sizes_up_to(LARGEST) for count in range(1, LARGEST + 1))


def test_machine_without_compiler_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    gcc, triton, nothing = {"gcc"}.__contains__, {"triton"}.__contains__, set[str]().__contains__
    assert missing_for_compiling(find=gcc, find_package=triton) is None
    assert missing_for_compiling(find=gcc, find_package=nothing) == "the package triton"
    assert missing_for_compiling(find=nothing, find_package=triton) == "a C compiler"


@pytest.fixture
def compiled(stock: Any) -> tuple[StableDiffusion, CompileCounter]:
    """The tiny model with compiled blocks, and the number of its compilations."""
    counter = CompileCounter()
    pipeline = type(stock)(
        **{**stock.components, "unet": deepcopy(stock.unet)}, requires_safety_checker=False
    )
    compile_blocks(pipeline.unet, backend=counter)
    family = StableDiffusion(pipeline)
    family.fills_batches = True
    return family, counter


@torch.inference_mode()
def test_no_batch_size_is_compiled_in_service(compiled: tuple[StableDiffusion, CompileCounter]) -> None:
    family, counter = compiled
    compile_batch_sizes(family, drawing(), largest=LARGEST)
    before = counter.frame_count
    assert before >= len(sizes_up_to(LARGEST))
    states = [family.prepare(drawing(), seed=seed) for seed in range(LARGEST)]
    for count in range(1, LARGEST + 1):
        assert len(family.predict(states[:count])) == count
    unguided = [family.prepare(drawing(guidance_scale=1.0), seed=seed) for seed in range(5)]
    assert len(family.predict(unguided)) == 5
    assert counter.frame_count == before
    family.fills_batches = False
    family.predict(states[:5])
    assert counter.frame_count > before, "a batch of five is another shape"


def test_filled_batches_equal_single_runs(
    stock: Any, compiled: tuple[StableDiffusion, CompileCounter]
) -> None:
    driven, alone = DrivenEngine(compiled[0]), DrivenEngine(StableDiffusion(stock))
    for engine in (driven, alone):
        engine.start_runs(5)
        engine.run_to_end()
    for run_id in map(str, range(5)):
        difference = driven.picture(run_id).astype(int) - alone.picture(run_id).astype(int)
        assert abs(difference).max() <= 1
