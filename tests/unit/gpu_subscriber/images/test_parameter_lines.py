"""The parameters of an image in the format that other programs read."""

from typing import Any

import pytest

from common.domain.models.traits import Guidance
from common.domain.provenance import AppliedLora
from gpu_subscriber.images.encoding import recorded
from gpu_subscriber.images.parameter_lines import parameter_lines, sampler_name
from tests.factories import draw_conditions, parameters


def lines(**changes: Any) -> list[str]:
    guidance = changes.pop("guidance", Guidance.CLASSIFIER_FREE)
    drawn = draw_conditions(loras=changes.pop("loras", ()))
    own = parameters(width=64, height=64, **changes).model_copy(update={"guidance": guidance})
    said = recorded(bytes(3 * 64 * 64), (64, 64), own, drawn, task_id="task-1", index=0, attempt=1)
    return parameter_lines(said).splitlines()


def test_parameter_lines_have_the_format_of_other_programs() -> None:
    assert lines(prompt="a large red circle", negative_prompt="blurry", seed=7) == [
        "a large red circle",
        "Negative prompt: blurry",
        "Steps: 20, Sampler: DDIM, CFG scale: 4, Seed: 7, Size: 64x64, Model: demo",
    ]


def test_parameter_lines_name_loras_as_other_programs_do() -> None:
    applied = (
        AppliedLora(name="detail", scale=-0.5, sha256="ab" * 32),
        AppliedLora(name="pixel-art", scale=1.0, sha256="cd" * 32),
    )
    first, *_, last = lines(prompt="a red circle", seed=7, loras=applied)
    assert first == "a red circle <lora:detail:-0.5> <lora:pixel-art:1>"
    assert last.endswith(', Model: demo, Lora hashes: "detail: abababababab, pixel-art: cdcdcdcdcdcd"')


def test_parameter_lines_omit_ineffective_guidance() -> None:
    unguided = lines(guidance_scale=1.0, guidance=Guidance.NONE, seed=7)
    assert unguided[-1] == "Steps: 20, Sampler: DDIM, Seed: 7, Size: 64x64, Model: demo"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"class": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}, "DPM++ 2M Karras"),
        ({"class": "DPMSolverMultistepScheduler"}, "DPM++ 2M"),
        ({"class": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}, "DPM++ 2M SDE"),
        ({"class": "EulerAncestralDiscreteScheduler"}, "Euler a"),
        ({"class": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, "Euler"),
        ({"class": "PNDMScheduler", "skip_prk_steps": True}, "PLMS"),
        ({"class": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, "Euler"),
        ({"class": "SomeNewScheduler"}, "SomeNewScheduler"),
        ({}, "unknown"),
    ],
)
def test_sampler_name_is_that_of_the_scheduler_used(config: dict[str, Any], name: str) -> None:
    assert sampler_name(config) == name


def test_parameter_lines_count_skipped_layers_from_one() -> None:
    assert lines(clip_skip=1, eta=0.5)[-1].endswith(", Clip skip: 2, Eta: 0.5")
