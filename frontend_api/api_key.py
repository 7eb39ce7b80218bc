"""ApiKey: what a program shows instead of a person's token. Pure.

    drk_ + 16 characters of id + 32 of secret + 6 of checksum, all of 0-9A-Za-z

The prefix and the checksum (CRC-32 of what stands before it) let scanners find a leaked key and be sure of it without
asking anybody; the id inside tells its owner which one leaked. Nothing but a hash of the whole is ever stored: the
secret has 190 bits, so a plain SHA-256 cannot be searched.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from common.domain.errors import DomainError

PREFIX = "drk_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_CHARACTERS, _SECRET_CHARACTERS, _CHECKSUM_CHARACTERS = 16, 32, 6
_KEY_ID = re.compile(rf"[0-9A-Za-z]{{{_ID_CHARACTERS}}}", re.ASCII)
_KEY = re.compile(
    rf"{PREFIX}[0-9A-Za-z]{{{_ID_CHARACTERS + _SECRET_CHARACTERS + _CHECKSUM_CHARACTERS}}}", re.ASCII
)


class Scope(StrEnum):
    """What a caller may do. None implies another."""

    READ = "read"
    """Look at tasks, images, models, the queue and the usage."""
    SUBMIT = "submit"
    """Submit tasks, and cancel, retry and delete them."""
    ADMIN = "admin"
    """Look after API keys, and after dead letters where the owner is an operator."""


ALL_SCOPES = frozenset(Scope)


class ApiKeyNotFoundError(DomainError):
    """The caller has no API key of this id."""

    code = "api_key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no API key {key_id!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored."""

    id: str
    user_id: str
    """Whom it speaks for."""
    name: str
    """The owner's note on what it is for."""
    scopes: frozenset[Scope]
    secret_sha256: str
    """Of the whole key, as hex digits."""
    created_at: datetime
    expires_at: datetime | None
    """None: it is good until it is revoked."""
    last_used_at: datetime | None = None
    """Coarse: see RememberedApiKeys."""

    def is_opened_by(self, shown: str, now: datetime) -> bool:
        """Whether what was shown is this key, and its time is not up."""
        is_same = hmac.compare_digest(hashed(shown), self.secret_sha256)
        return is_same and (self.expires_at is None or now < self.expires_at)


def new_key() -> tuple[str, str]:
    """An id that nobody has, and the key with it as its owner is shown it once."""
    key_id = _random(_ID_CHARACTERS)
    body = PREFIX + key_id + _random(_SECRET_CHARACTERS)
    return key_id, body + checksum(body)


def id_of(shown: str) -> str | None:
    """The id inside a key; None for whatever cannot be one, by its form or its checksum."""
    if not _KEY.fullmatch(shown) or checksum(shown[:-_CHECKSUM_CHARACTERS]) != shown[-_CHECKSUM_CHARACTERS:]:
        return None
    return shown[len(PREFIX) : len(PREFIX) + _ID_CHARACTERS]


def is_key_id(text: str) -> bool:
    """Whether a key can be called so."""
    return _KEY_ID.fullmatch(text) is not None


def hashed(shown: str) -> str:
    """What of a key is stored."""
    return hashlib.sha256(shown.encode()).hexdigest()


def checksum(body: str) -> str:
    """The CRC-32 of prefix, id and secret, as six digits to the base of 62."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))
