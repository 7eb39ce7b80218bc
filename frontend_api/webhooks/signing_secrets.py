"""Signing secrets of each caller's webhooks, and signatures in the format of Standard Webhooks.

No secret is stored. Each is derived from a key that only the API has, the owner's user id and the
owner's number of rotations. Read access to Firestore reveals only the last two.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.ports import Clock
from frontend_api.webhooks.ports import Rotations, SecretRotations


class WebhooksNotOfferedError(DomainError):
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
        """The secret in the format that Standard Webhooks libraries accept."""
        return "whsec_" + base64.b64encode(self.key).decode()


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
        return self._valid_secrets(user_id, self.rotations.of(user_id))

    def rotate(self, user_id: str) -> tuple[ValidSecret, ...]:
        """Add a new secret and return the valid ones.

        Two rotations in a row invalidate all earlier secrets. Raises as `of` does.
        """
        self._require_key()
        return self._valid_secrets(user_id, self.rotations.add(user_id, self.clock.now()))

    def _valid_secrets(self, user_id: str, rotated: Rotations) -> tuple[ValidSecret, ...]:
        newest = ValidSecret(
            key=self._derive(user_id, rotated.count), created_at=rotated.last_at, expires_at=None
        )
        if rotated.last_at is None or rotated.last_at + self.overlap <= self.clock.now():
            return (newest,)
        previous = self._derive(user_id, rotated.count - 1)
        return newest, ValidSecret(key=previous, created_at=None, expires_at=rotated.last_at + self.overlap)

    def _derive(self, user_id: str, rotation: int) -> bytes:
        purpose = f"darkroom webhook secret\0{user_id}\0{rotation}"
        return hmac.digest(self._require_key(), purpose.encode(), hashlib.sha256)

    def _require_key(self) -> bytes:
        if self.key is None:
            raise WebhooksNotOfferedError("webhooks are not enabled in this deployment")
        return self.key


def signed_headers(message_id: str, *, at: datetime, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """Return the headers, with one signature per key: a receiver may know only one of two."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
