"""One tiny pipeline for all engine tests: stock on one side, wrapped in its family on the other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.runs.run import Denoising
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_latent_consistency, tiny_stable_diffusion

STEP_SECONDS, DECODE_SECONDS = 6.0, 3.0


class Recording(GuidedFamily):
    """Keeps the final latents of each Run, by seed, and the size of each batch. Mixed into a family."""

    def __init__(self, pipeline: Any, **more: Any) -> None:
        super().__init__(pipeline, **more)
        self.final_latents: dict[int, torch.Tensor] = {}
        self.batches: list[int] = []

    def clear(self) -> None:
        self.final_latents.clear()
        self.batches.clear()

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        self.batches.append(len(states))
        return super().predict(states)

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        self.final_latents[state.generator.initial_seed()] = state.latents
        return super().decode(state, tiled=tiled)


class RecordingFamily(Recording, StableDiffusion):
    """The family of the tiny model that most engine tests use."""


class TimedFamily(RecordingFamily):
    """Each forward and each decoding takes a fixed time of the device."""

    def __init__(self, pipeline: Any, work: Callable[[float], None]) -> None:
        super().__init__(pipeline)
        self._work = work
        self.breaks_at: str | None = None

    def predict(self, states: Any) -> list[torch.Tensor]:
        self._work(STEP_SECONDS)
        if self.breaks_at == "predict":
            raise ValueError("the network does not fit")
        return super().predict(states)

    def decode(self, *given: Any, **named: Any) -> Decoded:
        self._work(DECODE_SECONDS)
        if self.breaks_at == "decode":
            raise ValueError("the decoder does not fit")
        return super().decode(*given, **named)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and waiting threads lose a lot on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def stable_diffusion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion(tmp_path_factory.mktemp("tiny") / "stable-diffusion")


@pytest.fixture(scope="session")
def stock(stable_diffusion_folder: Path) -> Any:
    """The stock pipeline: the oracle."""
    pipeline = DiffusionPipeline.from_pretrained(stable_diffusion_folder, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def family(stock: Any) -> RecordingFamily:
    return RecordingFamily(stock)


@pytest.fixture
def driven(family: RecordingFamily) -> DrivenEngine:
    """An engine with the tiny model, and the family's records of it in `driven.families`."""
    return DrivenEngine(family)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WholePipeline:
    """A pipeline class without a family of its own."""
    folder = tiny_latent_consistency(tmp_path_factory.mktemp("tiny") / "latent-consistency")
    return WholePipeline(DiffusionPipeline.from_pretrained(folder, use_safetensors=True))
