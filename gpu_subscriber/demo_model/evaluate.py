"""Generate images of held-out prompts with the stock pipeline, and count what the detector finds.

The images are not selected: the prompts follow from the seed, and prompt k is generated once, with
the seed `seed + k`.
"""

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UniPCMultistepScheduler,
)

from gpu_subscriber.demo_model import WEIGHTS_FOLDER
from gpu_subscriber.demo_model.descriptions import Description, descriptions
from gpu_subscriber.demo_model.detector import Picture, find_objects
from gpu_subscriber.demo_model.phrases import phrase
from gpu_subscriber.demo_model.verdicts import Verdict, judge, summary

SAMPLERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "euler_ancestral": (EulerAncestralDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "unipc": (UniPCMultistepScheduler, {}),
    "lcm": (LCMScheduler, {}),
    "pndm": (PNDMScheduler, {}),
}
KIND_SHARES = {"single": 0.5, "pair": 0.3, "group": 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    prompt: str
    description: Description
    picture: Picture
    verdict: Verdict


def held_out_prompts(count: int, seed: int) -> list[tuple[Description, str]]:
    """Return a shuffled list of held-out prompts: half singles, 30 % pairs, 20 % groups."""
    random_source = random.Random(seed)
    asked = [
        description
        for number, (kind, share) in enumerate(KIND_SHARES.items())
        for description in itertools.islice(
            descriptions(seed + number, held_out=True, kind=kind), round(count * share)
        )
    ]
    random_source.shuffle(asked)
    return [(description, phrase(description, random_source)) for description in asked]


def draw_and_judge(
    pipeline: Any,
    prompts: list[tuple[Description, str]],
    *,
    steps: int,
    guidance: float,
    seed: int,
    side: int,
    batch: int = 8,
) -> Iterator[Drawn]:
    for first in range(0, len(prompts), batch):
        chunk = prompts[first : first + batch]
        images = pipeline(
            [prompt for _, prompt in chunk],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed + first + number) for number in range(len(chunk))],
            height=side,
            width=side,
        ).images
        for (description, prompt), image in zip(chunk, images, strict=True):
            picture = np.asarray(image)
            verdict = judge(description, find_objects(picture))
            yield Drawn(prompt=prompt, description=description, picture=picture, verdict=verdict)


def contact_sheet(drawings: list[Drawn], columns: int = 6, side: int = 160) -> Picture:
    """Return (rows, width, 3) RGB: images above their prompts, framed in red on a mismatch."""
    cells = [_cell(drawn, side) for drawn in drawings]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    rows = [np.concatenate(cells[first : first + columns], axis=1) for first in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


def _cell(drawn: Drawn, side: int) -> Picture:
    cell = np.full((side + 52, side + 12, 3), 255, np.uint8)
    frame = (200, 200, 200) if drawn.verdict.everything else (230, 0, 0)
    cv2.rectangle(cell, (4, 4), (side + 7, side + 7), frame, 1 if drawn.verdict.everything else 3)
    cell[6 : side + 6, 6 : side + 6] = cv2.resize(drawn.picture, (side, side), interpolation=cv2.INTER_AREA)
    for number, line in enumerate(_lines(drawn.prompt, 28)[:3]):
        origin = (6, side + 20 + 12 * number)
        cv2.putText(cell, line, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def _lines(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    pipeline: Any = StableDiffusionPipeline.from_pretrained(options.weights_folder)
    pipeline.set_progress_bar_config(disable=True)
    scheduler, changes = SAMPLERS[options.sampler]
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **changes)
    prompts = held_out_prompts(options.prompts, options.seed)
    started = time.monotonic()
    drawings = list(
        draw_and_judge(
            pipeline,
            prompts,
            steps=options.steps,
            guidance=options.guidance,
            seed=options.seed,
            side=options.side,
        )
    )
    seconds = (time.monotonic() - started) / len(drawings)
    report = {
        "sampler": options.sampler,
        "steps": options.steps,
        "guidance": options.guidance,
        "side": options.side,
        "seed": options.seed,
        "prompts": len(drawings),
        "seconds_per_image": round(seconds, 3),
        **summary([(drawn.description, drawn.verdict) for drawn in drawings]),
    }
    print(json.dumps(report, indent=2))
    if options.report:
        options.report.write_text(json.dumps(report, indent=2) + "\n")
    if options.contact_sheet:
        sheet = contact_sheet(drawings[: options.sheet_images])
        cv2.imwrite(str(options.contact_sheet), sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--weights-folder", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--sampler", choices=SAMPLERS, default="ddim")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--contact-sheet", type=Path, help="where to write a PNG of the first images")
    parser.add_argument("--sheet-images", type=int, default=36)
    return parser.parse_args()


if __name__ == "__main__":
    main()
