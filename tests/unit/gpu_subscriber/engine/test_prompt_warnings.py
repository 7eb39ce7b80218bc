"""The engine reports parameters that a model does not obey, and the API counts the same tokens."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.task_warnings import PROMPT_TRUNCATED, warnings_of
from frontend_api.adapters.prompt_tokenizers import FilePromptTokenizers, with_prompt_limits
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import RunWarned
from gpu_subscriber.engine.models.loading import model_folder
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from tests.factories import parameters
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.tiny_pipelines import TOKENS

ANY_TEXT = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="абвгд 日本語 العربية हिन्दी é e\u0301 🦊👩‍🚀\n\t ", max_size=200),
    st.lists(st.sampled_from(["a", "LARGE", "red", "circle", "it's", "7", "<|endoftext|>", "…", "x:1"])).map(
        " ".join
    ),
)


class OnlyTokenizer:
    """The parts of a pipeline that the tokens need."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def demo_folder() -> Path:
    folder = model_folder(DEMO_MODEL.source)
    assert folder is not None
    return folder


DEMO_TOKENS = PromptTokens(OnlyTokenizer(demo_folder() / "tokenizer"))
DEMO_TOKENIZERS = FilePromptTokenizers(ModelCatalog(models=(DEMO_MODEL,)))


def local_model(source: Path, **changes: Any) -> ModelCatalog:
    fields = {"name": "own", "source": str(source), "max_prompt_tokens": None, **changes}
    return ModelCatalog(models=(DEMO_MODEL.model_copy(update=fields),))


@given(ANY_TEXT)
@settings(max_examples=300)
def test_api_and_worker_count_the_same_tokens_of_the_demo_model(text: str) -> None:
    assert DEMO_TOKENIZERS.token_starts("demo", text) == DEMO_TOKENS.starts(text)


@pytest.fixture(scope="session", params=["tokenizer.json", "vocab.json and merges.txt"])
def own_model(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    stable_diffusion_folder: Path,
    stock: Any,
) -> Path:
    folder = tmp_path_factory.mktemp("own")
    stock.tokenizer.save_pretrained(folder / "tokenizer")
    if request.param != "tokenizer.json":
        (folder / "tokenizer" / "tokenizer.json").unlink()
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(stable_diffusion_folder / "tokenizer-source" / name, folder / "tokenizer")
    return folder


@given(text=ANY_TEXT)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_api_and_worker_count_the_same_tokens_of_a_local_model(
    own_model: Path, stock: Any, text: str
) -> None:
    tokenizers = FilePromptTokenizers(local_model(own_model))
    assert tokenizers.token_starts("own", text) == PromptTokens(stock).starts(text)


@pytest.mark.parametrize("family", ["stable_diffusion", "stable_diffusion_xl"])
def test_limits_of_api_worker_and_catalog_agree(own_model: Path, stock: Any, family: str) -> None:
    assert DEMO_TOKENS.limit == DEMO_MODEL.max_prompt_tokens == 30
    (spec,) = with_prompt_limits(local_model(own_model, family=family)).models
    assert spec.max_prompt_tokens == PromptTokens(stock).limit == TOKENS - 2


def test_stated_limit_stays_and_an_unreadable_one_is_unknown(tmp_path: Path, own_model: Path) -> None:
    stated = local_model(own_model, max_prompt_tokens=7)
    assert with_prompt_limits(stated) == stated
    for unknown in (local_model(tmp_path), local_model(own_model, family="whole_pipeline")):
        assert with_prompt_limits(unknown).models[0].max_prompt_tokens is None
    assert FilePromptTokenizers(local_model(tmp_path)).token_starts("own", "a red circle") is None


def test_damaged_tokenizer_is_an_unknown_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    assert FilePromptTokenizers(local_model(tmp_path)).token_starts("own", "a red circle") is None


def test_api_ships_the_tokenizer_of_the_demo_model() -> None:
    import frontend_api

    shipped = Path(frontend_api.__path__[0]) / "tokenizers" / "demo" / "tokenizer.json"
    assert shipped.read_bytes() == (demo_folder() / "tokenizer" / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("shape", ["large red circle", "large blue square"])
def test_shape_beyond_the_demo_models_tokens_is_warned_of(shape: str) -> None:
    asked = parameters(prompt=f"quixotic xylophone wyvern zeppelin oak a {shape}")
    (warning,) = warnings_of(
        asked,
        max_prompt_tokens=DEMO_MODEL.max_prompt_tokens,
        token_starts=lambda text: DEMO_TOKENIZERS.token_starts("demo", text),
    )
    assert (warning.code, warning.pointer) == (PROMPT_TRUNCATED, "/prompt")
    assert shape in warning.detail


def test_engine_reports_what_the_encoder_cuts(family: RecordingFamily) -> None:
    driven = DrivenEngine(family)
    driven.start("long", drawing(prompt="red " * 40, negative_prompt="blue", guidance_scale=1.0))
    driven.start("short", drawing(prompt="a"))
    driven.run_to_end()
    (reported,) = driven.of_kind(RunWarned)
    assert reported.run_id == "long"
    assert [(warning.code, warning.pointer) for warning in reported.warnings] == [
        ("prompt_truncated", "/prompt"),
        ("negative_prompt_without_effect", "/negative_prompt"),
    ]
    assert f"the model reads {TOKENS - 2}" in reported.warnings[0].detail


def test_whole_pipeline_reports_what_the_encoder_cuts(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)
    driven.draw("run", drawing(sampler="lcm", prompt="red " * 40))
    (reported,) = driven.of_kind(RunWarned)
    assert [warning.code for warning in reported.warnings] == ["prompt_truncated"]


def test_torch_uses_the_lowest_32_bits_of_a_seed() -> None:
    def noise(seed: int) -> torch.Tensor:
        return torch.randn(8, generator=torch.Generator("cpu").manual_seed(seed))

    assert torch.equal(noise(7), noise(4_294_967_303))
    assert not torch.equal(noise(7), noise(2**32 - 1))
