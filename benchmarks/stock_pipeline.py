"""The reference: the same images from diffusers' own pipeline, one by one, in a separate process.

    python -m benchmarks.stock_pipeline FOLDER

Each line of standard input is a round: a JSON array of parameters. Its wall-clock and processor
seconds are printed.
"""

import sys
import time
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from pydantic import TypeAdapter

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.models.samplers import make_scheduler

REQUESTS = TypeAdapter(tuple[GenerationParameters, ...])


def main() -> None:
    torch.set_grad_enabled(False)
    pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1], use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    own = pipeline.scheduler
    print("ready", flush=True)
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        for parameters in REQUESTS.validate_json(line):
            pipeline.scheduler = make_scheduler(parameters.sampler, own, steps=parameters.steps)
            generate(pipeline, parameters)
        print(time.perf_counter() - wall, time.process_time() - processor, flush=True)


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
