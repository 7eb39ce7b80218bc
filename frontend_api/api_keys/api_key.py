"""ApiKey: a credential for programs, used instead of a user's token. Pure.

    drk_ + 16 characters of id + 32 of secret + 6 of checksum, all of 0-9A-Za-z

The prefix and the checksum (CRC-32 of everything before it) let secret scanners recognize a leaked
key offline. The id shows the owner which key leaked. Only a hash of the whole key is stored: the
secret has 190 bits, so a plain SHA-256 cannot be brute-forced.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime

from common.domain.errors import DomainError
from frontend_api.identity.ports import Scope

PREFIX = "drk_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_CHARACTERS, _SECRET_CHARACTERS, _CHECKSUM_CHARACTERS = 16, 32, 6
_KEY_ID = re.compile(rf"[0-9A-Za-z]{{{_ID_CHARACTERS}}}", re.ASCII)
_KEY = re.compile(
    rf"{PREFIX}[0-9A-Za-z]{{{_ID_CHARACTERS + _SECRET_CHARACTERS + _CHECKSUM_CHARACTERS}}}", re.ASCII
)


class ApiKeyNotFoundError(DomainError):
    code = "api_key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no API key {key_id!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    id: str
    user_id: str
    """The user that the key authenticates."""
    owner_email: str | None = None
    """The user's verified email address, if the deployment admits users by their addresses."""
    name: str
    """The owner's description of the key's purpose."""
    scopes: frozenset[Scope]
    secret_sha256: str
    """SHA-256 of the whole key, as hex digits."""
    created_at: datetime
    expires_at: datetime | None
    """None: the key is valid until it is revoked."""
    last_used_at: datetime | None = None
    """Approximate: see `cache.py`."""

    def is_opened_by(self, shown: str, now: datetime) -> bool:
        """Return whether `shown` is this key and the key has not expired."""
        is_same = hmac.compare_digest(hashed(shown), self.secret_sha256)
        return is_same and (self.expires_at is None or now < self.expires_at)


def new_key() -> tuple[str, str]:
    """Return a new random id and the complete key. The key is shown to its owner only once."""
    key_id = _random(_ID_CHARACTERS)
    body = PREFIX + key_id + _random(_SECRET_CHARACTERS)
    return key_id, body + checksum(body)


def id_of(shown: str) -> str | None:
    """Return the id inside a key; None if the format or the checksum is wrong."""
    if not _KEY.fullmatch(shown) or checksum(shown[:-_CHECKSUM_CHARACTERS]) != shown[-_CHECKSUM_CHARACTERS:]:
        return None
    return shown[len(PREFIX) : len(PREFIX) + _ID_CHARACTERS]


def is_key_id(text: str) -> bool:
    return _KEY_ID.fullmatch(text) is not None


def hashed(shown: str) -> str:
    """Return the hash of a key that is stored."""
    return hashlib.sha256(shown.encode()).hexdigest()


def checksum(body: str) -> str:
    """Return the CRC-32 of prefix, id and secret as six base-62 digits."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))
