"""How many tokens each family reads: measured with the stock call, and counted by API and worker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from common.domain.models.catalog import ModelCatalog
from common.domain.models.families import family_of
from common.domain.models.known_pipelines import prompt_reading
from common.domain.models.spec import ModelSpec
from frontend_api.adapters.prompt_tokenizers import FilePromptTokenizers, with_prompt_limits
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from tests.unit.gpu_subscriber.engine.tiny_families import saved

LIMITS = {
    "sdxl": 75,
    "sd3": 255,
    "flux-schnell": 511,
    "chroma": 511,
    "flux-2-klein": 506,
    "z-image": 506,
    "qwen-image": 512,
    "sana": 298,
}
"""The numbers for the tiny vocabularies, in which the chat template takes more tokens."""


@pytest.fixture(scope="module", params=LIMITS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(name, tmp_path_factory.mktemp("reading") / name)


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    loaded = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture
def drawn(pipeline: Any) -> Callable[[str], np.ndarray]:
    """Return a function that calls the stock pipeline."""
    options: dict[str, Any] = {}
    if type(pipeline).__name__ == "SanaPipeline":
        options = {"use_resolution_binning": False, "guidance_scale": 1.0}

    def draw(prompt: str) -> np.ndarray:
        return np.asarray(
            pipeline(
                prompt=prompt,
                width=64,
                height=64,
                num_inference_steps=2,
                generator=torch.Generator().manual_seed(1),
                output_type="np",
                **options,
            ).images[0]
        )

    return draw


def test_stock_call_ignores_exactly_the_tokens_beyond_the_limit(
    pipeline: Any, drawn: Callable[[str], np.ndarray]
) -> None:
    tokens = PromptTokens(pipeline)
    assert tokens.limit is not None
    starts = tokens.starts("x" * 2_000)
    assert starts is not None
    read, rest = "x" * starts[tokens.limit], "x" * 20
    last_changed = read[:-1] + "y" + rest
    assert np.array_equal(drawn(read + rest), drawn(read + "z" + rest))
    assert not np.array_equal(drawn(read + rest), drawn(last_changed))


def test_api_and_worker_agree(name: str, folder: Path, pipeline: Any) -> None:
    family = family_of(type(pipeline).__name__)
    spec = ModelSpec(name="tiny", title="", family=family, source=str(folder))
    catalog = with_prompt_limits(ModelCatalog(models=(spec,)))
    worker, api = PromptTokens(pipeline), FilePromptTokenizers(catalog)
    if name == "qwen-image":  # in the tiny vocabulary a part of the instruction counts
        assert worker.limit is not None
        assert worker.limit < LIMITS[name]
    else:
        assert worker.limit == LIMITS[name]
    assert catalog.default.max_prompt_tokens == LIMITS[name]
    for text in ("a red fox", "  A RED\n\nFox, 赤い狐 🦊 ", ""):
        assert api.token_starts("tiny", text) == worker.starts(text)


@pytest.mark.parametrize(
    ("class_name", "tokenizers", "limit"),
    [
        ("ZImagePipeline", ["tokenizer"], 509),
        ("QwenImagePipeline", ["tokenizer"], 512),
        ("StableDiffusion3Pipeline", ["tokenizer", "tokenizer_2"], None),
        ("AuraFlowPipeline", ["tokenizer"], "unknown"),
    ],
)
def test_published_model_reads_the_usual_number(class_name: str, tokenizers: list[str], limit: Any) -> None:
    reading = prompt_reading(class_name, tokenizers)
    assert ("unknown" if reading is None else reading.usual_limit) == limit
