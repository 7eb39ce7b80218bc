"""The safety checker that is part of a pipeline, stepped or called whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPImageProcessor

from common.domain.parameters import GenerationParameters, Sampler
from common.model_files.weights import UnservableModelError
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import PreviewReady, RunFailed
from gpu_subscriber.engine.models.loading import Family
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE, tiny_safety_checker

Change = Callable[[Any], object]
"""Changes a safety checker that refuses no image."""


def unchanged(_: Any) -> None: ...


def refuses_all(checker: Any) -> None:
    checker.concept_embeds_weights.data.fill_(-2.0)  # a cosine exceeds it always


def overflows(checker: Any) -> None:
    checker.visual_projection.weight.data.fill_(torch.finfo(torch.float32).max)


def is_damaged(checker: Any) -> None:
    checker.concept_embeds.data[0, 0] = torch.nan


FamilyMaker = Callable[[Change], tuple[Family, GenerationParameters]]


@pytest.fixture(params=["stepped", "whole"])
def checked(request: pytest.FixtureRequest, stock: Any, whole: WholePipeline, tmp_path: Path) -> FamilyMaker:
    """Return a family whose pipeline has a checker, and the parameters of an image."""

    def make(change: Change) -> tuple[Family, GenerationParameters]:
        architecture: Any = StableDiffusionSafetyChecker
        checker = architecture.from_pretrained(tiny_safety_checker(tmp_path, refuses=False))
        change(checker)
        size: Any = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
        parts = {"safety_checker": checker, "feature_extractor": CLIPImageProcessor(**size)}
        if request.param == "stepped":
            return StableDiffusion(type(stock)(**{**stock.components, **parts})), drawing(steps=8)
        pipeline = whole.pipeline
        return (
            WholePipeline(type(pipeline)(**{**pipeline.components, **parts})),
            drawing(steps=8, sampler=Sampler.LCM),
        )

    return make


def test_pipeline_with_a_checker_makes_no_previews(checked: FamilyMaker) -> None:
    """They would show the owner what the checker then refuses."""
    family, parameters = checked(unchanged)
    driven = DrivenEngine(family, preview_interval_seconds=0.0)
    driven.draw("run", parameters)
    assert (driven.drawn_runs, driven.of_kind(PreviewReady)) == (["run"], [])


@pytest.mark.parametrize("change", [refuses_all, overflows])
def test_image_is_refused_by_its_pipelines_checker(checked: FamilyMaker, change: Change) -> None:
    """Numbers that are not finite exceed no threshold: the image would pass."""
    family, parameters = checked(change)
    driven = DrivenEngine(family)
    driven.draw("run", parameters)
    assert [failed.failure.code for failed in driven.of_kind(RunFailed)] == ["content_filtered"]


def test_pipeline_whose_checker_would_refuse_nothing_is_not_served(checked: FamilyMaker) -> None:
    with pytest.raises(UnservableModelError, match="safety checker has weights that are not finite"):
        checked(is_damaged)
