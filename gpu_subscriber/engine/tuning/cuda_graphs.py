"""CUDA graphs for the batches in which the CPU launches kernels more slowly than the GPU runs them."""

from collections.abc import Callable, Sequence

import structlog

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.filled_batches import sizes_up_to
from gpu_subscriber.engine.batches.graphed_passes import GraphedPasses, Graphs
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.timing import timed_rounds
from gpu_subscriber.engine.tuning.trial_images import prepared

_log = structlog.get_logger()

WORTH_IT = 0.97
"""A batch size is replayed only if a step takes less than this share of the usual time."""


def choose_cuda_graphs(
    family: GuidedFamily,
    parameters: GenerationParameters,
    device: Device,
    graphs: Graphs,
    *,
    largest: int,
    timed: Callable[[Device, Callable[[], object]], Sequence[float]] = timed_rounds,
) -> None:
    """Capture growing batches of these parameters, up to the first one that is not faster.

    An error leaves the model without graphs.
    """
    state = prepared(family, parameters)
    passes = GraphedPasses(graphs)
    milliseconds: dict[int, tuple[float, float]] = {}

    def seconds(size: int) -> float:
        return min(timed(device, lambda: family.predict([state] * size)))

    try:
        for size in sizes_up_to(largest):
            family.passes = None
            plain = seconds(size)
            family.passes = passes
            with passes.capturing():
                family.predict([state] * size)
            replayed = seconds(size)
            milliseconds[size] = round(1_000 * plain, 2), round(1_000 * replayed, 2)
            if replayed >= WORTH_IT * plain:
                passes.drop_latest()
                break
    except Exception as error:
        _log.warning("cuda_graphs_not_used", model=parameters.model, error=type(error).__name__)
        passes = GraphedPasses(graphs)
    device.synchronize()  # raises if the error has poisoned the device
    family.passes = passes if len(passes) else None
    _log.info(
        "cuda_graphs_chosen", model=parameters.model, batches=len(passes), plain_and_replayed=milliseconds
    )
