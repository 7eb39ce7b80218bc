"""Inputs: pictures that callers upload for their tasks, and the names of their objects.

An input's id is the SHA-256 of its bytes, so the same picture of the same owner is stored once.
"""

import hashlib

INPUTS_PREFIX = "inputs/"
INPUT_ID_PATTERN = r"^[0-9a-f]{64}$"
_OWNER_KEY_CHARACTERS = 40


def input_folder(user_id: str) -> str:
    """Return the prefix of all inputs of an owner; the hash keeps user ids out of object names."""
    owner = hashlib.sha256(user_id.encode()).hexdigest()[:_OWNER_KEY_CHARACTERS]
    return f"{INPUTS_PREFIX}{owner}/"


def input_object_name(user_id: str, input_id: str) -> str:
    """Return the object name of an owner's input."""
    return f"{input_folder(user_id)}{input_id}"
