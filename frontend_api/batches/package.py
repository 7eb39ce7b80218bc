"""The package as one record."""

from dataclasses import dataclass

from frontend_api.batches.change_tasks import ChangeTasks
from frontend_api.batches.submit_batch import SubmitBatch
from frontend_api.fair_queue import FairQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    submit: SubmitBatch
    change: ChangeTasks
    in_progress: FairQueue
    """Of submitted batches, per caller. A parsed one needs many times the memory of its request."""
