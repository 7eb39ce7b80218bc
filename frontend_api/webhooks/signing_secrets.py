"""SigningSecrets: the signing secrets of each caller's webhooks.

No secret is stored. Each is derived from a key that only the API has, the owner's user id and the
owner's number of rotations. Read access to Firestore reveals only the last two.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.ports import Clock
from frontend_api.webhooks.ports import Rotations, SecretRotations
from frontend_api.webhooks.signatures import secret_text


class WebhooksNotOfferedError(DomainError):
    """This deployment has no key to derive secrets from."""

    code = "webhooks_not_offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidSecret:
    """A secret that currently signs deliveries."""

    key: bytes = field(repr=False)
    created_at: datetime | None
    """None for the initial secret, which every caller has."""
    expires_at: datetime | None
    """None for the newest secret."""

    @property
    def text(self) -> str:
        """The secret as its owner sees it."""
        return secret_text(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSecrets:
    """Reads and rotates secrets.

    After a rotation the previous secret stays valid for `overlap`. At most two are valid.
    """

    rotations: SecretRotations
    key: bytes | None = field(repr=False)
    overlap: timedelta
    clock: Clock

    def of(self, user_id: str) -> tuple[ValidSecret, ...]:
        """Return the valid secrets, newest first.

        Raises WebhooksNotOfferedError, DependencyUnavailableError.
        """
        return self._valid(user_id, self.rotations.of(user_id))

    def rotate(self, user_id: str) -> tuple[ValidSecret, ...]:
        """Add a new secret and return the valid ones.

        Two rotations in a row invalidate all earlier secrets. Raises as `of` does.
        """
        self._given_key()
        return self._valid(user_id, self.rotations.add(user_id, self.clock.now()))

    def _valid(self, user_id: str, rotated: Rotations) -> tuple[ValidSecret, ...]:
        newest = ValidSecret(
            key=self._derived(user_id, rotated.count), created_at=rotated.last_at, expires_at=None
        )
        if rotated.last_at is None or rotated.last_at + self.overlap <= self.clock.now():
            return (newest,)
        before = self._derived(user_id, rotated.count - 1)
        return newest, ValidSecret(key=before, created_at=None, expires_at=rotated.last_at + self.overlap)

    def _derived(self, user_id: str, rotation: int) -> bytes:
        purpose = f"darkroom webhook secret\0{user_id}\0{rotation}"
        return hmac.digest(self._given_key(), purpose.encode(), hashlib.sha256)

    def _given_key(self) -> bytes:
        if self.key is None:
            raise WebhooksNotOfferedError("webhooks are not enabled in this deployment")
        return self.key
