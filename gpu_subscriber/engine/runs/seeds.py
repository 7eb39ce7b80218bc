"""The random generator of a Run."""

import numpy as np
import torch

from common.domain.parameters import TORCH_SEEDS


def seeded_generator(seed: int) -> torch.Generator:
    """Return a CPU generator. Every seed has its own numbers.

    torch uses only the lowest 32 bits of a seed. Larger seeds are hashed to 32 bits, so that they do
    not repeat the images of smaller ones; up to 2³²−1 a seed gives the numbers of `manual_seed`.
    """
    if seed >= TORCH_SEEDS:
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return torch.Generator("cpu").manual_seed(seed)
