"""RecordSeal: a MAC over stored records that only the API may write (ADR 41).

Workers have write access to every document of the database, because Firestore's permissions do not
distinguish collections. They do not have the key of the seals.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


@dataclass(frozen=True, slots=True)
class RecordSeal:
    """Seals records. Without a key, records are neither sealed nor checked."""

    key: bytes | None = field(repr=False)

    @classmethod
    def derived_from(cls, secret: bytes | None) -> Self:
        """Derive the key from the API's secret, from which other keys are derived, too."""
        if secret is None:
            return cls(None)
        return cls(HKDF(SHA256(), length=32, salt=None, info=b"darkroom record seal").derive(secret))

    def of(self, kind: str, record: Mapping[str, object]) -> str | None:
        """Return the seal of a record. The values may be JSON values and aware datetimes.

        A seal of one `kind` is not valid for another.
        """
        if self.key is None:
            return None
        sealed = json.dumps([kind, dict(record)], sort_keys=True, default=_time_as_json).encode()
        return hmac.digest(self.key, sealed, hashlib.sha256).hex()

    def is_valid(self, kind: str, record: Mapping[str, object], seal: object) -> bool:
        """Return whether the API sealed this record. Any value of any type may be stored instead."""
        try:
            expected = self.of(kind, record)
        except (TypeError, ValueError):
            return False
        if expected is None:
            return True
        return isinstance(seal, str) and seal.isascii() and hmac.compare_digest(expected, seal)


def _time_as_json(value: object) -> dict[str, str]:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} cannot be sealed")
    return {"time": value.astimezone(UTC).isoformat()}
