"""Inputs: pictures that callers upload for their tasks, and the names of their objects.

An input's id is the SHA-256 of its bytes, so the same picture of the same owner is stored once.
"""

import hashlib

INPUTS_PREFIX = "inputs/"
UPLOADS_PREFIX = "uploads/"
"""Files of resumable uploads, until they are stored as inputs."""
INPUT_ID_PATTERN = r"^[0-9a-f]{64}$"
_OWNER_KEY_CHARACTERS = 40


def input_folder(user_id: str) -> str:
    """Return the prefix of all inputs of an owner; the hash keeps user ids out of object names."""
    return f"{INPUTS_PREFIX}{_owner_key(user_id)}/"


def input_object_name(user_id: str, input_id: str) -> str:
    """Return the object name of an owner's input."""
    return f"{input_folder(user_id)}{input_id}"


def upload_object_name(user_id: str, upload_id: str) -> str:
    """Return the object name of the file of a resumable upload."""
    return f"{UPLOADS_PREFIX}{_owner_key(user_id)}/{upload_id}"


def _owner_key(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()[:_OWNER_KEY_CHARACTERS]
