"""Replayed steps of each family, after images of more sizes than any cache has room for."""

from collections.abc import Callable
from itertools import islice, product
from typing import Any

import numpy as np
import pytest

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.messages import RunFailed
from gpu_subscriber.engine.tuning.cuda_graphs import choose_cuda_graphs
from gpu_subscriber.engine.tuning.trial_images import prepared
from tests.unit.gpu_subscriber.engine.driven_engine import CPU
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, PICTURE_CASES, Model
from tests.unit.gpu_subscriber.engine.families.pictures import inputs_of
from tests.unit.gpu_subscriber.engine.families.test_picture_models import asked as with_pictures
from tests.unit.gpu_subscriber.engine.families.test_picture_models import small_pictures
from tests.unit.gpu_subscriber.engine.test_cuda_graphs import RepeatedWork

REPLAYED = [name for name in (*CASES, *PICTURE_CASES) if name != "z_image"]
"""The passes of Z-Image read a list of texts, and are not captured."""
OTHER_SIZES = 20
OTHER_SIZES_OF_QWEN = 140
"""diffusers caches the rotary embeddings of 128 sizes."""

__all__ = ["small_pictures"]


def asked(model: Model, **fields: Any) -> GenerationParameters:
    """Complete a submission, with pictures for the models that read them in each step."""
    reads_pictures = model.case in PICTURE_CASES.values()
    return with_pictures(model, **fields) if reads_pictures else model.asked(**fields)


def other_sizes(model: Model, count: int) -> list[dict[str, int]]:
    defaults, multiple = model.spec.defaults, model.spec.limits.side_multiple
    more = islice(product(range(12), repeat=2), 1, count + 1)
    return [
        {"width": defaults.width + multiple * wider, "height": defaults.height + multiple * higher}
        for higher, wider in more
    ]


@pytest.mark.parametrize("model", REPLAYED, indirect=True)
def test_other_sizes_free_no_memory_that_a_graph_reads(model: Model) -> None:
    family, graphs, parameters = model.family, RepeatedWork(), asked(model)

    def timed(device: Device, work: Callable[[], object]) -> list[float]:
        work()
        return [0.5 if family.passes is not None else 1.0]

    def picture() -> Any:
        driven = model.engine()
        driven.draw("run", parameters, inputs=inputs_of(parameters))
        assert driven.of_kind(RunFailed) == []
        return driven.picture("run")

    expected = picture()
    choose_cuda_graphs(family, parameters, CPU, graphs, largest=1, timed=timed)
    try:
        count = OTHER_SIZES_OF_QWEN if "qwen" in model.spec.family else OTHER_SIZES
        for size in other_sizes(model, count):
            family.predict([prepared(family, asked(model, **size))])
        replays = graphs.replays
        assert np.array_equal(picture(), expected)
        assert graphs.replays > replays
    finally:
        family.release()
