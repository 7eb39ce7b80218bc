"""What the oracle suite leaves open in the families of transformers over tokens."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.families.architecture import padded
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.unit.gpu_subscriber.engine.driven_engine import CPU
from tests.unit.gpu_subscriber.engine.families.family_cases import Model

each_model = pytest.mark.parametrize(
    "model", ["chroma", "flux_2_klein", "flux_2_klein base", "qwen_image", "z_image"], indirect=True
)
READ_TOKENS = 512


@each_model
def test_prompt_is_cut_where_the_stock_pipeline_cuts_it(model: Model) -> None:
    """The tiny tokenizer makes a token of each letter."""
    long = "fox " * (READ_TOKENS // 4 + 10)
    model.assert_bit_equal(model.asked(prompt=long, negative_prompt=long[::-1], steps=2))


@each_model
def test_decoding_in_tiles_equals_the_stock_pipeline(model: Model) -> None:
    parameters = model.asked(width=320, height=64, steps=2)
    state = model.family.prepare(parameters, seed=parameters.seed)
    while not state.is_done:
        (prediction,) = model.family.predict([state])
        state.advance(prediction)
    whole, tiled = (model.family.decode(state, tiled=tiled).pixels for tiled in (False, True))
    assert not torch.equal(whole, tiled)
    model.stock.vae.enable_tiling()
    try:
        expected = model.drawn_by_stock(parameters).pixels
    finally:
        model.stock.vae.disable_tiling()
    assert np.array_equal(tiled.numpy(), expected)


@each_model
def test_model_warms_up_with_a_measured_batch_cap(model: Model) -> None:
    caps = BatchCaps(max_batch=2)
    times = warm_up(model.family, model.spec, CPU, caps, measure=True)
    assert times is not None
    assert caps.is_measured(BatchKey.of(model.asked()).model)


@pytest.mark.parametrize("model", ["flux_2_klein"], indirect=True)
def test_positions_are_computed_once_per_size(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    model.family.cached_by_size.clear()  # type: ignore[attr-defined]
    sizes: list[tuple[int, ...]] = []
    compute: Callable[[torch.Tensor], torch.Tensor] = model.stock._prepare_latent_ids

    def counted(grid: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(grid.shape[2:]))
        return compute(grid)

    monkeypatch.setattr(model.stock, "_prepare_latent_ids", counted)
    driven = model.engine()
    for number, size in enumerate([model.wide, model.wide, {}]):
        driven.start(str(number), model.asked(seed=number, **size))
    driven.run_to_end()
    assert sorted(set(sizes)) == sorted(sizes)
    assert len(sizes) == 2


def test_rows_of_one_length_are_stacked_without_a_mask() -> None:
    rows = [torch.full((1, 3, 2), float(number)) for number in (1, 2)]
    stacked, mask = padded(rows)
    assert mask is None
    assert torch.equal(stacked, torch.cat(rows))


def test_shorter_rows_are_padded_with_masked_zeros() -> None:
    rows = [torch.ones(1, length, 2) for length in (1, 3, 2)]
    stacked, mask = padded(rows)
    assert mask is not None
    assert mask.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
    assert torch.equal(stacked, mask[..., None].expand(-1, -1, 2).float())
