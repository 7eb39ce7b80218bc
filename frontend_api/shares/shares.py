"""Shares: create, list and revoke links to a task's pictures, and resolve a link."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import (
    DomainError,
    FieldProblem,
    ParametersRejectedError,
    TaskNotFoundError,
)
from common.domain.images import StoredImage
from common.domain.task import Task
from common.ports import Clock, TaskStore
from frontend_api.bounded_records import add_within
from frontend_api.shares.ports import ShareStore
from frontend_api.shares.share import Share, ShareNotFoundError, id_of, is_token, new_token

MAX_SHARES_PER_TASK = 20
DEFAULT_LIFETIME = timedelta(days=7)


class NoSuchPictureError(DomainError):
    """The task has no picture with this index, or none yet."""

    code = "image_not_found"


class SharingNotOfferedError(DomainError):
    code = "sharing_not_offered"

    def __init__(self) -> None:
        super().__init__("this deployment does not permit links to pictures")


class TooManySharesError(DomainError):
    code = "too_many_shares"

    def __init__(self) -> None:
        super().__init__(f"a task may have at most {MAX_SHARES_PER_TASK} links that work; revoke one first")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedShare:
    """The stored record, and the token that is shown once."""

    record: Share
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPicture:
    """All that a link shows."""

    image: StoredImage
    prompt: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    store: ShareStore
    tasks: TaskStore
    clock: Clock
    max_lifetime: timedelta
    """Zero: the deployment permits no links, and earlier ones show nothing."""

    def create(self, task: Task, *, image_index: int, lifetime: timedelta | None) -> CreatedShare:
        """Create a link to one of the task's pictures. The token is returned once and never stored.

        Raises SharingNotOfferedError, NoSuchPictureError, ParametersRejectedError and
        TooManySharesError.
        """
        now = self.clock.now()
        expires_at = now + self._checked(lifetime)
        image = next((each for each in task.images if each.index == image_index), None)
        if image is None:
            raise NoSuchPictureError(f"task {task.id!r} has no image {image_index}")
        token = new_token()
        record = Share(
            id=id_of(token),
            user_id=task.user_id,
            task_id=task.id,
            image_index=image_index,
            object_name=image.object_name,
            created_at=now,
            expires_at=expires_at,
        )
        add_within(
            MAX_SHARES_PER_TASK,
            count=lambda: len(self.active(task)),
            add=lambda: self.store.add(record),
            remove=lambda: self.store.delete(record.id),
            error=TooManySharesError(),
        )
        return CreatedShare(record=record, token=token)

    def active(self, task: Task) -> tuple[Share, ...]:
        """Return the task's links that work, newest first."""
        if not self.max_lifetime:
            return ()
        now = self.clock.now()
        return tuple(share for share in self.store.list_for(task.id) if _shows(share, task, now))

    def revoke(self, task: Task, share_id: str) -> None:
        """End a link. Raises ShareNotFoundError, also for a link of another task."""
        share = self.store.get(share_id)
        if (share.task_id, share.user_id) != (task.id, task.user_id):
            raise ShareNotFoundError(share_id)
        self.store.delete(share_id)

    def resolve(self, token: str) -> SharedPicture:
        """Return what the link with this token shows.

        Raises ShareNotFoundError alike for a link that never existed, has expired or was revoked,
        and for one whose task was deleted.
        """
        if not is_token(token) or not self.max_lifetime:
            raise ShareNotFoundError("")
        share = self.store.get(id_of(token))
        if not share.is_active(self.clock.now()):
            raise ShareNotFoundError(share.id)
        try:
            task = self.tasks.get(share.task_id)
        except TaskNotFoundError as error:
            raise ShareNotFoundError(share.id) from error
        image = share.picture_of(task)
        if image is None:
            raise ShareNotFoundError(share.id)
        return SharedPicture(image=image, prompt=task.parameters.prompt, expires_at=share.expires_at)

    def _checked(self, lifetime: timedelta | None) -> timedelta:
        if not self.max_lifetime:
            raise SharingNotOfferedError
        if lifetime is None:
            return min(DEFAULT_LIFETIME, self.max_lifetime)
        if lifetime > self.max_lifetime:
            most = self.max_lifetime // timedelta(hours=1)
            problem = FieldProblem("/expires_in_hours", f"must be at most {most} in this deployment")
            raise ParametersRejectedError("the link would be valid for too long", (problem,))
        return lifetime


def _shows(share: Share, task: Task, now: datetime) -> bool:
    return share.is_active(now) and share.picture_of(task) is not None
