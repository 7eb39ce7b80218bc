"""The package as one record."""

from dataclasses import dataclass

from frontend_api.batches.change_tasks import ChangeTasks
from frontend_api.batches.submit_batch import SubmitBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    submit: SubmitBatch
    change: ChangeTasks
