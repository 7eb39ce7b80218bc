"""Warnings of a submission: their subjects, their texts, and the parameters in the record."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from common.domain.task_records import TaskWarning
from common.domain.task_warnings import parameters_with_effect, warned, warnings_of
from tests.factories import parameters, submitted_task


def words(text: str) -> Sequence[int]:
    return [word.start() for word in re.finditer(r"\S+", text)]


def warnings(*, limit: int | None = 3, can_guide: bool = True, **asked: Any) -> tuple[TaskWarning, ...]:
    return warnings_of(parameters(**asked), max_prompt_tokens=limit, token_starts=words, can_guide=can_guide)


def test_prompt_within_the_limit_has_no_warning() -> None:
    assert warnings(prompt="a red circle") == ()


def test_truncated_prompt_names_tokens_limit_and_cut() -> None:
    (warning,) = warnings(prompt="a large red circle on white")
    assert (warning.code, warning.pointer, warning.tokens) == ("prompt_truncated", "/prompt", 6)
    assert warning.detail == (
        "The prompt has 6 tokens and the model reads 3. It ignores everything from character 13 on: “circle on white”."
    )


def test_long_rest_is_quoted_in_part() -> None:
    (warning,) = warnings(prompt="a large red " + "circle " * 100)
    assert warning.detail.endswith("“circle circle circle circle ci…”.")


def test_truncated_negative_prompt_has_its_own_pointer() -> None:
    found = warnings(prompt="a b c d", negative_prompt="e f g h", guidance_scale=2.0)
    assert [warning.pointer for warning in found] == ["/prompt", "/negative_prompt"]


def test_negative_prompt_without_guidance_has_no_effect_and_is_not_counted() -> None:
    (warning,) = warnings(prompt="a", negative_prompt="e f g h", guidance_scale=1.0)
    assert (warning.code, warning.pointer) == ("negative_prompt_without_effect", "/negative_prompt")
    assert "`guidance_scale` is 1" in warning.detail
    assert warnings(prompt="a", negative_prompt="e", guidance_scale=1.1) == ()


def test_negative_prompt_of_a_model_that_cannot_guide_has_no_effect() -> None:
    (warning,) = warnings(prompt="a", negative_prompt="e", guidance_scale=8.0, can_guide=False)
    assert "the model 'demo' uses no negative prompt" in warning.detail


def test_without_limit_or_tokenizer_truncation_is_unknown() -> None:
    long = parameters(prompt="a b c d e")
    assert warnings_of(long, max_prompt_tokens=None, token_starts=words) == ()
    assert warnings_of(long, max_prompt_tokens=3, token_starts=None) == ()
    assert warnings_of(long, max_prompt_tokens=3, token_starts=lambda _text: None) == ()


@pytest.mark.parametrize("text", ["(large red circle:1.4)", "a [blue:0.5] square", "(x:2)"])
def test_prompt_weights_are_taken_literally(text: str) -> None:
    (warning,) = warnings(limit=None, prompt=text)
    assert (warning.code, warning.pointer) == ("prompt_weights_ignored", "/prompt")


@pytest.mark.parametrize("text", ["a circle (large)", "a ratio of 3:2", "at 12:30 (noon)", "(a: b)"])
def test_other_brackets_and_colons_are_no_weights(text: str) -> None:
    assert warnings(limit=None, prompt=text) == ()


@pytest.mark.parametrize(
    ("seed", "images", "expected"),
    [
        (2**32 - 1, 1, None),
        (2**32 - 4, 4, None),
        (2**32 - 2, 4, "Seed 4294967296 gives an image of its own"),
    ],
)
def test_seeds_below_32_bits_have_no_warning(seed: int, images: int, expected: str | None) -> None:
    found = warnings(limit=None, seed=seed, num_images=images)
    assert [expected in warning.detail for warning in found if expected] == ([True] if expected else [])
    assert bool(found) == bool(expected)


def test_larger_seed_names_the_seed_that_torch_would_use() -> None:
    (warning,) = warnings(limit=None, seed=4_294_967_303)
    assert (warning.code, warning.pointer) == ("seed_above_32_bits", "/seed")
    assert warning.detail.startswith("Seed 4294967303 gives an image of its own.")
    assert "that of seed 7," in warning.detail


def test_later_warning_replaces_the_same_one() -> None:
    early, exact, other = (
        TaskWarning(code="prompt_truncated", pointer=pointer, detail=detail)
        for pointer, detail in (("/prompt", "early"), ("/prompt", "exact"), ("/negative_prompt", "other"))
    )
    task = warned(submitted_task(), (early,))
    assert warned(task, (early,)) is task
    assert warned(task, ()) is task
    assert warned(task, (other, exact)).warnings == (exact, other)


def test_record_states_no_negative_prompt_that_had_no_effect() -> None:
    unguided = submitted_task(parameters=parameters(negative_prompt="blue", guidance_scale=1.0))
    assert parameters_with_effect(unguided).negative_prompt is None
    guided = submitted_task(parameters=parameters(negative_prompt="blue", guidance_scale=2.0))
    assert parameters_with_effect(guided) is guided.parameters
    (warning,) = warnings(negative_prompt="blue", guidance_scale=2.0, can_guide=False, limit=None)
    assert parameters_with_effect(warned(guided, (warning,))).negative_prompt is None
