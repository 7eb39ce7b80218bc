"""The package as one record."""

from dataclasses import dataclass

from frontend_api.dead_letters.archive import ArchiveDeadLetter
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.dead_letters.replay import ReplayDeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    stored: DeadLetterArchive
    archive: ArchiveDeadLetter
    replay: ReplayDeadLetter
