"""List a caller's tasks, newest first, page by page."""

from dataclasses import dataclass

from common.domain.task import TaskStatus
from common.ports import TaskPage, TaskStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTasks:
    store: TaskStore

    def __call__(
        self,
        user_id: str,
        *,
        status: TaskStatus | None = None,
        model: str | None = None,
        page_size: int,
        page_token: str | None = None,
    ) -> TaskPage:
        """Return one page. Raises InvalidPageTokenError."""
        return self.store.list_for(
            user_id, status=status, model=model, page_size=page_size, page_token=page_token
        )
