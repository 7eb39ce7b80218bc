"""Prompts with weights and long prompts: embeddings, warnings, and batches of different lengths."""

from typing import Any

import pytest
import torch
from compel.embeddings_provider import (
    EmbeddingsProviderMulti,
    ReturnedEmbeddingsType,
    SplitLongTextMode,
)

from common.domain.models.traits import PromptSyntax
from common.domain.parameters import GenerationParameters
from common.domain.prompt_weights import fragments_of
from gpu_subscriber.engine.messages import RunWarned
from tests.unit.gpu_subscriber.engine.families.family_cases import Model
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import STEP_TOLERANCE

each_model = pytest.mark.parametrize(
    "model", ["stable_diffusion", "stable_diffusion distilled", "stable_diffusion_xl"], indirect=True
)


def weighted(model: Model, prompt: str, **fields: Any) -> GenerationParameters:
    return model.asked(prompt=prompt, prompt_syntax=PromptSyntax.WEIGHTED, **fields)


def embeddings_of(model: Model, parameters: GenerationParameters) -> torch.Tensor:
    """Return what the network reads of the prompt."""
    return model.family.encode_alone(parameters)[-1]["encoder_hidden_states"]


def length_of(model: Model) -> int:
    length: int = model.stock.tokenizer.model_max_length
    return length


def long_prompt(model: Model, chunks: int) -> str:
    """Return a prompt that fills this many chunks; each letter is a token."""
    return "x" * ((length_of(model) - 2) * chunks - 1)


@each_model
@pytest.mark.parametrize("clip_skip", [0, 1])
def test_short_prompt_without_weights_equals_the_plain_one(model: Model, clip_skip: int) -> None:
    """Also the one of an omitted negative prompt, and that of earlier layers."""
    plain = model.asked(prompt="a red fox", guidance_scale=5.0, clip_skip=clip_skip)
    for ours, stock in zip(
        model.family.encode_alone(plain.model_copy(update={"prompt_syntax": PromptSyntax.WEIGHTED})),
        model.family.encode_alone(plain),
        strict=True,
    ):
        assert ours.keys() == stock.keys()
        for name, row in ours.items():
            assert torch.equal(row, stock[name]), name


@each_model
def test_embeddings_have_a_row_per_token_of_all_chunks(model: Model) -> None:
    for chunks in (1, 2, 5):
        embeddings = embeddings_of(model, weighted(model, long_prompt(model, chunks)))
        assert embeddings.shape[1] == chunks * length_of(model)
    assert embeddings_of(model, weighted(model, "x" * 900)).shape[1] == 8 * length_of(model)


@each_model
def test_each_chunk_is_encoded_as_a_prompt_of_its_own(model: Model) -> None:
    room = length_of(model) - 2
    first, second = "y" * room, "z" * 3
    together = embeddings_of(model, weighted(model, first + second))
    alone = [embeddings_of(model, model.asked(prompt=text)) for text in (first + "?", second)]
    # The last letter of a word is another token: in `first` alone it is one.
    assert torch.allclose(together[:, :room], alone[0][:, :room], atol=1e-5)
    assert torch.allclose(together[:, length_of(model) :], alone[1], atol=1e-5)


@each_model
def test_weight_moves_the_embeddings_of_its_tokens_only(model: Model) -> None:
    plain = embeddings_of(model, weighted(model, "a fox"))
    empty = embeddings_of(model, weighted(model, " "))
    heavy = embeddings_of(model, weighted(model, "a (fox:1.5)"))
    moved = (heavy - plain).abs().amax(-1)[0] > 0
    assert moved.nonzero().flatten().tolist() == [2, 3, 4]
    expected = empty + (plain - empty) * 1.5
    assert torch.allclose(heavy[:, 2:5], expected[:, 2:5], atol=1e-6)


@each_model
def test_both_branches_have_the_same_length(model: Model) -> None:
    for prompt, negative in ((long_prompt(model, 3), "short"), ("short", long_prompt(model, 2))):
        branches = model.family.encode_alone(
            weighted(model, prompt, negative_prompt=negative, guidance_scale=5.0)
        )
        assert len({branch["encoder_hidden_states"].shape for branch in branches}) == 1


@each_model
def test_runs_of_different_lengths_share_steps(model: Model) -> None:
    """Shorter prompts are padded and masked: the padding does not change the prediction."""
    asked = {
        "plain": model.asked(seed=1, guidance_scale=5.0),
        "one": weighted(model, "a (red:1.4) [fox]", seed=2, guidance_scale=5.0),
        "two": weighted(model, long_prompt(model, 2), seed=3, guidance_scale=3.0, steps=6),
        "five": weighted(model, long_prompt(model, 5), seed=4, guidance_scale=7.0),
    }
    driven = model.engine()
    for run_id, parameters in asked.items():
        driven.start(run_id, parameters)
    driven.run_to_end()
    assert model.family.batches == [4, 4, 4, 4, 1, 1]
    assert model.family.largest_error <= STEP_TOLERANCE
    assert sorted(driven.drawn_runs) == sorted(asked)


@each_model
def test_prompt_longer_than_all_chunks_has_a_warning(model: Model) -> None:
    room = length_of(model) - 2
    driven = model.engine()
    driven.draw("long", weighted(model, "(" + "x " * 900 + ":1.2)"))
    (warned,) = driven.of_kind(RunWarned)
    (warning,) = warned.warnings
    assert warning.code == "prompt_truncated"
    assert f"the model reads {room * 8}" in warning.detail


@each_model
def test_long_weighted_prompt_resumes_bit_equal(model: Model) -> None:
    parameters = weighted(model, long_prompt(model, 2), steps=4, negative_prompt="(blurry:1.2)")
    model.assert_resumes_bit_equal(parameters, after_steps=2)


@each_model
@pytest.mark.parametrize(
    "prompt",
    ["a red fox", "a (red:1.4) fox", "(a ((red)) fox:1.5)", "a red fox, (a blue (owl:1.3):1.2), " * 5],
    ids=["plain", "weighted", "nested", "long"],
)
def test_embeddings_equal_those_of_compel(model: Model, prompt: str) -> None:
    """compel is a maintained library; below a weight of 1 it computes something else."""
    stock, kinds = model.stock, ReturnedEmbeddingsType
    is_xl = hasattr(stock, "text_encoder_2")
    provider = EmbeddingsProviderMulti(
        tokenizers=[stock.tokenizer, stock.tokenizer_2] if is_xl else [stock.tokenizer],
        text_encoders=[stock.text_encoder, stock.text_encoder_2] if is_xl else [stock.text_encoder],
        returned_embeddings_type=kinds.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
        if is_xl
        else kinds.LAST_HIDDEN_STATES_NORMALIZED,
        truncate=False,
        split_long_text_mode=SplitLongTextMode.BRUTAL,
    )
    fragments = fragments_of(prompt)
    expected = provider.get_embeddings_for_weighted_prompt_fragments(
        [[fragment.text for fragment in fragments]], [[fragment.weight for fragment in fragments]]
    )
    assert torch.allclose(embeddings_of(model, weighted(model, prompt)), expected, atol=1e-5)
