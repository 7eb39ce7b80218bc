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
    """The settings of its creation or patch. Stored and returned, but without effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """One generation of an object.

    `settings` are the client-writable fields: contentType, metadata, …
    """

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
    """ifGenerationMatch and the related preconditions.

    Generation 0 means that the object must not exist.
    """

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Preconditions":
        """Parse the query. Raises StorageError 400 for values that are not numbers."""

        def number(key: str) -> int | None:
            value = query.get(key)
            if value is None:
                return None
            if not value.isdecimal():
                raise StorageError(400, "invalid", f"Invalid value for {key}: {value}")
            return int(value)

        return cls(
            generation_match=number("ifGenerationMatch"),
            generation_not_match=number("ifGenerationNotMatch"),
            metageneration_match=number("ifMetagenerationMatch"),
            metageneration_not_match=number("ifMetagenerationNotMatch"),
        )

    def check(self, current: ObjectRecord | None, *, reading: bool = False) -> None:
        """Raise StorageError 412 when a condition fails, or 304 when a reader's NotMatch condition does."""
        generation = current.generation if current else 0
        metageneration = current.metageneration if current else 0
        for wanted, actual in (
            (self.generation_match, generation),
            (self.metageneration_match, metageneration),
        ):
            if wanted is not None and wanted != actual:
                raise _condition_not_met()
        for unwanted, actual in (
            (self.generation_not_match, generation),
            (self.metageneration_not_match, metageneration),
        ):
            if unwanted is not None and unwanted == actual:
                raise StorageError(304, "notModified", "Not modified.") if reading else _condition_not_met()


def _condition_not_met() -> StorageError:
    return StorageError(
        412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."
    )
