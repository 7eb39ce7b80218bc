"""Each seed has its own random numbers; those of usual seeds are torch's."""

import pytest
import torch

from gpu_subscriber.engine.runs.seeds import seeded_generator


def numbers(generator: torch.Generator) -> list[float]:
    return torch.randn(4, generator=generator).tolist()


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_usual_seed_gives_torchs_numbers(seed: int) -> None:
    assert numbers(seeded_generator(seed)) == numbers(torch.Generator("cpu").manual_seed(seed))


@pytest.mark.parametrize("seed", [7 + 2**32, 7 + 2**33, 2**53 + 1, 2**63 - 1])
def test_larger_seed_gives_repeatable_numbers_of_its_own(seed: int) -> None:
    found = numbers(seeded_generator(seed))
    assert found == numbers(seeded_generator(seed))
    assert found != numbers(torch.Generator("cpu").manual_seed(seed))
    assert found != numbers(seeded_generator(seed - 2**32))
