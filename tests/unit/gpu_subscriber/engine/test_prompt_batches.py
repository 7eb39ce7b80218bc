"""Prompts of Runs that are prepared together share passes of the text encoder."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gpu_subscriber.engine.conditions.prompt_embeddings import MOST_TOGETHER, Kind
from gpu_subscriber.engine.messages import NO_INPUTS
from gpu_subscriber.engine.runs.run import Rows
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture


@pytest.fixture
def passes(stock: Any) -> Iterator[list[int]]:
    """The number of texts in each pass of the text encoder."""
    found: list[int] = []
    hook = stock.text_encoder.register_forward_hook(
        lambda network, given, named, output: found.append(len(output[0])), with_kwargs=True
    )
    yield found
    hook.remove()


def start(driven: DrivenEngine, **prompts: str) -> None:
    for number, (run_id, prompt) in enumerate(prompts.items()):
        driven.start(run_id, drawing(prompt=prompt, seed=number))


def test_prompts_of_new_runs_share_a_pass(driven: DrivenEngine, passes: list[int]) -> None:
    start(driven, a="a red fox", b="a blue square", c="a green circle")
    driven.step()
    assert sorted(passes) == [1, 3], "the omitted negative prompts are one text"


def test_equal_prompts_are_encoded_once(driven: DrivenEngine, passes: list[int]) -> None:
    start(driven, a="a red fox", b="a red fox")
    driven.run_to_end()
    start(driven, c="a red fox")
    driven.run_to_end()
    assert passes == [1, 1]


def test_pass_of_the_text_encoder_has_a_limit(stock: Any, passes: list[int]) -> None:
    driven = DrivenEngine(RecordingFamily(stock), max_batch=MOST_TOGETHER + 3)
    start(driven, **{str(number): f"fox {number}" for number in range(MOST_TOGETHER + 3)})
    driven.step()
    assert sorted(passes) == [1, 3, MOST_TOGETHER]


def test_run_alone_is_encoded_alone(driven: DrivenEngine, stock: Any, passes: list[int]) -> None:
    start(driven, a="a red fox", b="a blue square")
    driven.run_to_end()
    passes.clear()
    alone = drawing(prompt="a blue square", seed=1)
    driven.draw("alone", alone)
    driven.draw("again", alone)
    assert passes == [1], "the embeddings of the batch are not exact, those of the first Run are"
    assert np.array_equal(driven.picture("alone"), stock_picture(stock, alone).pixels)


def test_prompts_of_a_batch_are_kept_for_the_next_batch(driven: DrivenEngine, passes: list[int]) -> None:
    start(driven, a="a red fox", b="a blue square")
    driven.run_to_end()
    passes.clear()
    start(driven, c="a blue square", d="a red fox", e="a dog")
    driven.step()
    assert passes == [1]


def test_prompt_that_cannot_be_encoded_fails_only_its_run(stock: Any) -> None:
    class Illiterate(RecordingFamily):
        def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
            if "unspeakable" in texts:
                raise UnicodeError("cannot encode")
            return super().encode(texts, kind)

    driven = DrivenEngine(Illiterate(stock))
    start(driven, a="a red fox", bad="unspeakable", c="a dog")
    driven.run_to_end()
    assert (driven.failed_runs, sorted(driven.drawn_runs)) == (["bad"], ["a", "c"])


def test_embeddings_of_a_batch_do_not_keep_its_tensors(stock: Any) -> None:
    family = RecordingFamily(stock)
    with torch.inference_mode():
        encoded = family.encode_together(
            [(drawing(prompt=prompt), NO_INPUTS) for prompt in ("a fox", "a dog")]
        )
    for branches in encoded:
        for rows in branches:
            assert all(row.untyped_storage().nbytes() == row.nbytes for row in rows.values())
