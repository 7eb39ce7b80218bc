"""The draw conditions that the engine reports for an image."""

import hashlib
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from common.domain.parameters import Sampler
from common.domain.provenance import DrawConditions, Resume
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import ImageReady, RunInterrupted
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.models.model_provenance import ModelProvenance, software_versions
from gpu_subscriber.engine.runs.run_history import RunHistory
from tests.factories import environment
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing, spec


def conditions_of(driven: DrivenEngine, run_id: str) -> DrawConditions:
    (image,) = driven.of_kind(ImageReady, run_id)
    draw_conditions: DrawConditions = image.draw_conditions
    return draw_conditions


def test_provenance_has_the_hash_of_each_weights_file(stable_diffusion_folder: Path) -> None:
    weights = load_family(spec("tiny", source=str(stable_diffusion_folder)), CPU).origin.weights
    assert set(weights) == {
        f"{part}.safetensors"
        for part in ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
    }
    for name, digest in weights.items():
        assert hashlib.sha256((stable_diffusion_folder / name).read_bytes()).hexdigest() == digest


def test_provenance_has_the_current_environment(stable_diffusion_folder: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(stable_diffusion_folder, use_safetensors=True)
    pipeline.unet.to(memory_format=torch.channels_last)
    here = ModelProvenance(pipeline).environment
    assert (here.device, here.dtype, here.threads) == ("cpu", "float32", torch.get_num_threads())
    assert here.channels_last == ("unet",)
    assert not here.compiled
    assert software_versions().items() <= here.versions.items()
    assert here.versions["python"] == platform.python_version()
    pipeline.vae.decoder.compile()
    assert ModelProvenance(pipeline).environment.compiled


def test_provenance_has_the_batch_size_of_each_step(driven: DrivenEngine) -> None:
    driven.start("first", drawing(steps=5))
    driven.step(2)
    driven.draw("second", drawing(steps=4, seed=8))
    assert conditions_of(driven, "first").batches == (1, 1, 2, 2, 2)
    assert conditions_of(driven, "second").batches == (2, 2, 2, 1)


@pytest.mark.parametrize(
    ("sampler", "said"),
    [
        (Sampler.DDIM, {"class": "DDIMScheduler"}),
        (Sampler.DPMPP_2M_KARRAS, {"class": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}),
    ],
)
def test_provenance_has_the_sampler_configuration(
    driven: DrivenEngine, sampler: Sampler, said: dict[str, Any]
) -> None:
    driven.draw("run", drawing(sampler=sampler))
    assert said.items() <= conditions_of(driven, "run").sampler_config.items()
    assert "num_train_timesteps" not in conditions_of(driven, "run").sampler_config, (
        "as diffusers has it anyway"
    )


def test_provenance_has_the_history_before_a_resume(stock: Any) -> None:
    checkpoint = None
    for steps in (2, 1):
        driven = DrivenEngine(RecordingFamily(stock))
        driven.start("part", drawing(steps=5), checkpoint=checkpoint)
        driven.step(steps)
        driven.interrupt("part", want_checkpoint=True)
        checkpoint = driven.of_kind(RunInterrupted)[0].checkpoint
    driven = DrivenEngine(RecordingFamily(stock))
    driven.start("rest", drawing(steps=5), checkpoint=checkpoint)
    driven.start("other", drawing(steps=5, seed=8))
    driven.run_to_end()
    assert conditions_of(driven, "rest").batches == (1, 1, 1, 2, 2)
    assert conditions_of(driven, "rest").resumes == (Resume(step=2), Resume(step=3))


def test_provenance_has_the_earlier_environment_of_a_moved_run() -> None:
    here, there, elsewhere = (environment(device=name) for name in ("here", "there", "elsewhere"))
    run_history = RunHistory(batches=[1, 1], started_over_because="made for another software")
    run_history = RunHistory.resumed(run_history.packed(there), step=2, here=elsewhere)
    run_history.batches.append(1)
    run_history = RunHistory.resumed(run_history.packed(elsewhere), step=3, here=here)
    assert run_history.resumes == (Resume(step=2, before=there), Resume(step=3, before=elsewhere))
    back = RunHistory.resumed(run_history.packed(here), step=3, here=there)
    assert [resume.before for resume in back.resumes] == [None, elsewhere, here]
    assert back.started_over_because == "made for another software"


def test_whole_pipeline_has_the_same_provenance(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)
    driven.draw("run", drawing(steps=3, sampler=Sampler.LCM))
    assert conditions_of(driven, "run").batches == (1, 1, 1)
    assert conditions_of(driven, "run").sampler_config["class"] == "LCMScheduler"
