"""Share: a link to one picture. Pure.

The address of a share contains a token of 24 characters of 0-9A-Za-z: 142 random bits. Only a hash
of the token is stored, which is also the share's id: the token cannot be computed from it.
"""

import hashlib
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime

from common.domain.errors import DomainError
from common.domain.images import StoredImage
from common.domain.task import Task

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN_CHARACTERS, _ID_CHARACTERS = 24, 32
_TOKEN = re.compile(rf"[0-9A-Za-z]{{{_TOKEN_CHARACTERS}}}", re.ASCII)
SHARE_ID = rf"[0-9a-f]{{{_ID_CHARACTERS}}}"
_SHARE_ID = re.compile(SHARE_ID, re.ASCII)


class ShareNotFoundError(DomainError):
    """No such share, or it has ended."""

    code = "share_not_found"

    def __init__(self, share_id: str) -> None:
        super().__init__(f"no share {share_id!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    id: str
    """The hash of the token."""
    user_id: str
    task_id: str
    image_index: int
    object_name: str
    """The picture's object. No other picture ever has this name, not even one of a task with this id."""
    created_at: datetime
    expires_at: datetime

    def is_active(self, now: datetime) -> bool:
        return now < self.expires_at

    def picture_of(self, task: Task) -> StoredImage | None:
        """Return the shared picture; None if this is another owner's task or has another picture."""
        if task.user_id != self.user_id:
            return None
        return next((image for image in task.images if image.object_name == self.object_name), None)


def new_token() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_CHARACTERS))


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def id_of(token: str) -> str:
    """Return the id of the share with this token."""
    return hashlib.sha256(token.encode()).hexdigest()[:_ID_CHARACTERS]


def is_share_id(text: str) -> bool:
    return _SHARE_ID.fullmatch(text) is not None
