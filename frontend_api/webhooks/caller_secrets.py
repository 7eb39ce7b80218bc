"""CallerSecrets: what each caller's webhooks are signed with.

No secret is stored anywhere. Each follows from a key that only the API is given, from its owner and from how often that
owner asked for a new one; who may read Firestore learns the last two.
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
    """This deployment has no key to make secrets from."""

    code = "webhooks_not_offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidSecret:
    """One secret that deliveries are signed with now."""

    key: bytes = field(repr=False)
    created_at: datetime | None
    """None for the one that every caller has from the beginning."""
    expires_at: datetime | None
    """When it ceases to be used; None for the newest."""

    @property
    def text(self) -> str:
        """As its owner is shown it."""
        return secret_text(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerSecrets:
    """The use cases. After a rotation the secret before stays valid for `overlap`; no more than two ever are."""

    rotations: SecretRotations
    key: bytes | None = field(repr=False)
    overlap: timedelta
    clock: Clock

    def of(self, user_id: str) -> tuple[ValidSecret, ...]:
        """Those valid now, newest first. Raises WebhooksNotOfferedError, DependencyUnavailableError."""
        return self._valid(user_id, self.rotations.of(user_id))

    def rotate(self, user_id: str) -> tuple[ValidSecret, ...]:
        """The same with a new secret. Twice in a row ends all that were valid before. Raises as `of` does."""
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
            raise WebhooksNotOfferedError("no webhooks are on offer here")
        return self.key
