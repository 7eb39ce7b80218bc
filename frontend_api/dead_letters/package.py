"""The package as one record, built from its ports."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from common.ports import Clock, TaskStore
from frontend_api.dead_letters.archive import ArchiveDeadLetter
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.dead_letters.replay import ReplayDeadLetter
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.final_events import PublishFinalEvent
from frontend_api.tasks.publisher import TaskPublisher
from frontend_api.tasks.retry import RetryTask


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    stored: DeadLetterArchive
    archive: ArchiveDeadLetter
    replay: ReplayDeadLetter

    @classmethod
    def build(
        cls,
        *,
        stored: DeadLetterArchive,
        store: TaskStore,
        publisher: TaskPublisher,
        publish_final_event: PublishFinalEvent,
        no_quotas: Quotas,
        keep_for: timedelta,
        clock: Clock,
    ) -> Self:
        """Build the package.

        Replays have no quotas: an operator repairs a failure of the system.
        """
        return cls(
            stored=stored,
            archive=ArchiveDeadLetter(
                archive=stored,
                store=store,
                publish_final_event=publish_final_event,
                clock=clock,
                keep_for=keep_for,
            ),
            replay=ReplayDeadLetter(
                archive=stored,
                store=store,
                publisher=publisher,
                retry_task=RetryTask(store=store, publisher=publisher, clock=clock, quotas=no_quotas),
                clock=clock,
            ),
        )
