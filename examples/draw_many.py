"""Generate a prompt with several seeds at once: python draw_many.py PROMPT SEED..."""

import asyncio
import sys

from darkroom import AsyncClient


async def draw(prompt: str, seeds: list[int]) -> None:
    """Submit all, then save each image when it is finished."""
    async with AsyncClient() as darkroom:
        works = [darkroom.generate(prompt, seed=seed) for seed in seeds]
        for work in asyncio.as_completed(works):
            drawn = await work
            print(drawn.task.parameters.seed, drawn.images[0].save())


asyncio.run(draw(sys.argv[1], [int(seed) for seed in sys.argv[2:]]))
