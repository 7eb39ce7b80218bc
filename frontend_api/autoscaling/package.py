"""The demand for workers, and the pool whose size the API sets."""

from dataclasses import dataclass

from frontend_api.autoscaling.demand import ReadFleetDemand
from frontend_api.autoscaling.scale_pool import ScalePool


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaling:
    """The use cases of this package."""

    read_demand: ReadFleetDemand
    scale_pool: ScalePool | None
    """None where another autoscaler sets the number of workers."""
