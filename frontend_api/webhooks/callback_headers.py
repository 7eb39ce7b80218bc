"""Headers that callers add to their webhooks, for example `Authorization`.

Their values are stored encrypted, because task documents can be read without the API. The key is
derived from the webhook key, which only the API has.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from frontend_api.webhooks.url_policy import CallbackRefusedError

MAX_HEADERS = 10
MAX_VALUE_CHARACTERS = 2_000
MAX_ALL_CHARACTERS = 8_000
"""Many servers refuse requests with more."""
HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}"
HEADER_VALUE = r"[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?"
_NAME, _VALUE = re.compile(HEADER_NAME), re.compile(HEADER_VALUE)
_RESERVED = frozenset(
    (
        "baggage", "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive",
        "te", "trailer", "traceparent", "tracestate", "transfer-encoding", "upgrade", "user-agent",
    )
)  # fmt: skip
_RESERVED_PREFIXES = ("proxy-", "webhook-")


def check_header(name: str, value: str) -> None:
    """Raise ValueError for a header that callers may not add. The message contains no value."""
    if not _NAME.fullmatch(name):
        raise ValueError("names must be 1 to 100 letters, digits or `-`")
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        raise ValueError(f"{name} is set by darkroom and cannot be changed")
    if len(value) > MAX_VALUE_CHARACTERS or not _VALUE.fullmatch(value):
        raise ValueError(
            f"the value of {name} must be 1 to {MAX_VALUE_CHARACTERS} printable ASCII characters, without spaces "
            "at its ends"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderCipher:
    """Encrypts values. Equal values of one caller's header have equal ciphertexts, so that replays match."""

    webhook_key: bytes | None = field(repr=False)

    def encrypt(self, user_id: str, headers: Mapping[str, str]) -> dict[str, str]:
        if not headers:
            return {}
        cipher = self._cipher
        return {
            name: base64.b64encode(cipher.encrypt(value.encode(), _bound_to(user_id, name))).decode()
            for name, value in headers.items()
        }

    def decrypt(self, user_id: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the values. Raises CallbackRefusedError if the webhook key has changed."""
        if not headers:
            return {}
        cipher = self._cipher
        try:
            return {
                name: cipher.decrypt(base64.b64decode(value), _bound_to(user_id, name)).decode()
                for name, value in headers.items()
            }
        except (InvalidTag, ValueError) as error:
            raise CallbackRefusedError("has headers that were encrypted with another webhook key") from error

    @property
    def _cipher(self) -> AESSIV:
        if self.webhook_key is None:
            raise CallbackRefusedError("cannot be used: webhooks are not enabled in this deployment")
        return AESSIV(hmac.digest(self.webhook_key, b"darkroom callback headers", hashlib.sha512))


def _bound_to(user_id: str, name: str) -> list[bytes]:
    return [user_id.encode(), name.lower().encode()]
