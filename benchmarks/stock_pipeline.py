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
from gpu_subscriber.engine.models.loading import model_folder


def main() -> None:
    torch.set_grad_enabled(False)
    pipeline = StableDiffusionPipeline.from_pretrained(model_folder(DEMO_MODEL.source), use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    generate(pipeline, PROMPTS[0], seed=0)
    print("ready", flush=True)
    for _line in sys.stdin:
        started = time.perf_counter()
        for seed, prompt in enumerate(PROMPTS):
            generate(pipeline, prompt, seed=seed)
        print(time.perf_counter() - started, flush=True)


def generate(pipeline: Any, prompt: str, *, seed: int) -> None:
    defaults = DEMO_MODEL.defaults
    pipeline(
        prompt,
        num_inference_steps=defaults.steps,
        guidance_scale=defaults.guidance_scale,
        width=defaults.width,
        height=defaults.height,
        generator=torch.Generator("cpu").manual_seed(seed),
    )


if __name__ == "__main__":
    main()
