"""The package as one record."""

from dataclasses import dataclass

from frontend_api.history.read import ReadHistory
from frontend_api.history.record import RecordMinute, RecordResponses


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    record_minute: RecordMinute
    responses: RecordResponses
    read: ReadHistory
