"""Generate a prompt with several seeds at once: python generate_many.py PROMPT SEED..."""

import asyncio
import sys

from darkroom import AsyncClient


async def generate(prompt: str, seeds: list[int]) -> None:
    """Submit all seeds at once, and save each image when it is finished."""
    async with AsyncClient() as darkroom:
        generations = [darkroom.generate(prompt, seed=seed) for seed in seeds]
        for generation in asyncio.as_completed(generations):
            result = await generation
            print(result.task.parameters.seed, result.images[0].save())


if len(sys.argv) < 3 or not all(seed.isdecimal() for seed in sys.argv[2:]):
    print("usage: python generate_many.py PROMPT SEED...", file=sys.stderr)
    sys.exit(2)
asyncio.run(generate(sys.argv[1], [int(seed) for seed in sys.argv[2:]]))
