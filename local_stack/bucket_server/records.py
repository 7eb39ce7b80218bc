"""Records of buckets and objects, and the preconditions of requests."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


class StorageError(Exception):
    """A rejected request: the HTTP status, the API's reason code and a message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRecord:
    name: str
    created_at: datetime
    settings: Mapping[str, object]
    """The settings of its creation. Stored and returned, but without effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """One generation of an object. `settings` are the fields that the client sent."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    size_bytes: int
    md5: str
    crc32c: str
    created_at: datetime
    updated_at: datetime
    settings: Mapping[str, object]
    content_file: str

    @property
    def content_type(self) -> str:
        return str(self.settings.get("contentType") or "application/octet-stream")

    @property
    def etag(self) -> str:
        return base64.b64encode(f"{self.generation}/{self.metageneration}".encode()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditions:
    """Generation 0 means that the object must not exist."""

    generation_match: int | None = None
    metageneration_match: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Preconditions":
        """Parse the query. Raises StorageError 400, or 501 for other preconditions."""
        if unsupported := [key for key in _UNSUPPORTED if key in query]:
            raise StorageError(501, "notImplemented", f"Unsupported preconditions: {', '.join(unsupported)}")
        return cls(
            generation_match=_number(query, "ifGenerationMatch"),
            metageneration_match=_number(query, "ifMetagenerationMatch"),
        )

    def check(self, current: ObjectRecord | None) -> None:
        """Raise StorageError 412 when the object has another generation or metageneration."""
        generation, metageneration = (current.generation, current.metageneration) if current else (0, 0)
        if self.generation_match not in (None, generation) or (
            self.metageneration_match not in (None, metageneration)
        ):
            raise StorageError(
                412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."
            )


_UNSUPPORTED = ("ifGenerationNotMatch", "ifMetagenerationNotMatch")


def _number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is not None and not value.isdecimal():
        raise StorageError(400, "invalid", f"Invalid value for {name}: {value}")
    return None if value is None else int(value)
