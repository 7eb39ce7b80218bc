"""The reference: the same images from diffusers' own pipeline, one by one, in a separate process.

Each line of standard input starts a round, whose duration in seconds is printed.
"""

import sys
import time
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from benchmarks.prompts import PROMPTS
from common.domain.models.catalog import DEMO_MODEL
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.models.loading import model_folder


def main() -> None:
    torch.set_grad_enabled(False)
    pipeline = StableDiffusionPipeline.from_pretrained(model_folder(DEMO_MODEL.source), use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    requests = [DEMO_MODEL.defaulted(prompt=prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    generate(pipeline, requests[0])
    print("ready", flush=True)
    for _line in sys.stdin:
        started = time.perf_counter()
        for parameters in requests:
            generate(pipeline, parameters)
        print(time.perf_counter() - started, flush=True)


def generate(pipeline: Any, parameters: GenerationParameters) -> None:
    """Generate one image with a stock pipeline of any class."""
    pipeline(
        parameters.prompt,
        num_inference_steps=parameters.steps,
        guidance_scale=parameters.guidance_scale,
        width=parameters.width,
        height=parameters.height,
        generator=torch.Generator("cpu").manual_seed(parameters.seed),
    )


if __name__ == "__main__":
    main()
