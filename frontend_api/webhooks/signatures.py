"""Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body, scheme `v1`.
https://www.standardwebhooks.com
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

_PREFIX = "whsec_"


def secret_text(key: bytes) -> str:
    """Return a signing key in the format that its owner sees and that Standard Webhooks libraries
    accept.
    """
    return _PREFIX + base64.b64encode(key).decode()


def signed_headers(message_id: str, *, at: datetime, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """Return the signature headers: one signature per key, so that a receiver can verify with
    either of two secrets.
    """
    timestamp = str(int(at.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
