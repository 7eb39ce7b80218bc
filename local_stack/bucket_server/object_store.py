"""The buckets and objects, with the service's rules. HTTP is in the route modules."""

import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from local_stack.bucket_server.object_files import ObjectFiles
from local_stack.bucket_server.pending_content import PendingContent
from local_stack.bucket_server.records import BucketRecord, ObjectRecord, Preconditions, StorageError

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST_OBJECT_NAME_BYTES = 1024
_STORED_SETTINGS = ("cacheControl", "contentType", "customTime", "metadata")


class ObjectStore:
    """Buckets and objects, with thread-safe generations and preconditions."""

    def __init__(self, directory: Path) -> None:
        self._files = ObjectFiles(directory)
        self._lock = threading.RLock()
        self._buckets: dict[str, BucketRecord] = {}
        self._objects: dict[str, dict[str, ObjectRecord]] = {}
        self._last_generation = 0
        for bucket, objects in self._files.load():
            self._buckets[bucket.name] = bucket
            self._objects[bucket.name] = {record.name: record for record in objects}
            self._last_generation = max([self._last_generation, *(record.generation for record in objects)])

    def bucket(self, name: str) -> BucketRecord:
        """Return a bucket. Raises StorageError 404."""
        with self._lock:
            if name not in self._buckets:
                raise StorageError(404, "notFound", "The specified bucket does not exist.")
            return self._buckets[name]

    def create_bucket(self, name: str, settings: Mapping[str, object]) -> BucketRecord:
        """Create a bucket. Raises StorageError 400 for an invalid name, 409 when it exists."""
        if not _BUCKET_NAME.fullmatch(name):
            raise StorageError(400, "invalid", f"Invalid bucket name: '{name}'")
        with self._lock:
            if name in self._buckets:
                raise StorageError(
                    409, "conflict", "Your previous request to create the named bucket succeeded."
                )
            bucket = BucketRecord(name=name, created_at=datetime.now(UTC), settings=dict(settings))
            self._files.save_bucket(bucket)
            self._buckets[name], self._objects[name] = bucket, {}
            return bucket

    def begin(self, bucket: str) -> PendingContent:
        """Start an upload and return its buffer. Raises StorageError 404."""
        self.bucket(bucket)
        return PendingContent(self._files.contents_folder(bucket))

    def commit(
        self,
        bucket: str,
        name: str,
        content: PendingContent,
        settings: Mapping[str, object],
        conditions: Preconditions,
    ) -> ObjectRecord:
        """Make the content the newest generation.

        On StorageError, discards the content. On OSError, the caller may repeat the call.
        """
        try:
            content.check(md5=settings.get("md5Hash"), crc32c=settings.get("crc32c"))
            if (
                not 0 < len(name.encode()) <= _LONGEST_OBJECT_NAME_BYTES
                or "\n" in name
                or name in (".", "..")
            ):
                raise StorageError(400, "invalid", f"Invalid object name: '{name}'")
            content.sync()
            with self._lock:
                self.bucket(bucket)
                current = self._objects[bucket].get(name)
                conditions.check(current)
                record = self._new_record(bucket, name, content, settings)
                self._files.save_content(content, record)
                self._files.save(record)
                self._objects[bucket][name] = record
                if current is not None:
                    with suppress(OSError):  # the next start deletes it
                        self._files.delete_content(current)
                return record
        except StorageError:
            content.discard()
            raise

    def get(
        self, bucket: str, name: str, conditions: Preconditions, generation: int | None = None
    ) -> ObjectRecord:
        """Return an object. Raises StorageError 404, 412."""
        with self._lock:
            record = self._existing(bucket, name, generation)
            conditions.check(record)
            return record

    def open(
        self, bucket: str, name: str, conditions: Preconditions, generation: int | None = None
    ) -> tuple[ObjectRecord, BinaryIO]:
        """Return the object with its bytes, which stay readable when it is replaced."""
        with self._lock:
            record = self.get(bucket, name, conditions, generation)
            return record, (self._files.contents_folder(bucket) / record.content_file).open("rb")

    def delete(
        self, bucket: str, name: str, conditions: Preconditions, generation: int | None = None
    ) -> None:
        """Delete an object. Raises StorageError 404, 412. On OSError, the caller may repeat the call."""
        with self._lock:
            record = self._existing(bucket, name, generation)
            conditions.check(record)
            self._files.delete(record)
            del self._objects[bucket][name]

    def change(
        self, bucket: str, name: str, settings: Mapping[str, object], conditions: Preconditions
    ) -> ObjectRecord:
        """Replace the given settings of an object. Raises StorageError 400, 404, 412."""
        changed = {key: settings[key] for key in _STORED_SETTINGS if key in settings}
        with self._lock:
            current = self.get(bucket, name, conditions)
            _check_custom_time(current.settings.get("customTime"), changed.get("customTime"))
            record = replace(
                current,
                metageneration=current.metageneration + 1,
                updated_at=datetime.now(UTC),
                settings={**current.settings, **changed},
            )
            self._files.save(record)
            self._objects[bucket][name] = record
            return record

    def objects(self, bucket: str, *, prefix: str, after: str) -> list[ObjectRecord]:
        """Return the objects after a name, sorted by name. Raises StorageError 404."""
        with self._lock:
            self.bucket(bucket)
            names = sorted(name for name in self._objects[bucket] if name.startswith(prefix) and name > after)
            return [self._objects[bucket][name] for name in names]

    def _existing(self, bucket: str, name: str, generation: int | None) -> ObjectRecord:
        self.bucket(bucket)
        record = self._objects[bucket].get(name)
        if record is None or generation not in (None, record.generation):
            raise StorageError(404, "notFound", f"No such object: {bucket}/{name}")
        return record

    def _new_record(
        self, bucket: str, name: str, content: PendingContent, settings: Mapping[str, object]
    ) -> ObjectRecord:
        self._last_generation = max(self._last_generation + 1, time.time_ns() // 1000)
        now = datetime.now(UTC)
        return ObjectRecord(
            bucket=bucket,
            name=name,
            generation=self._last_generation,
            metageneration=1,
            size_bytes=content.size_bytes,
            md5=content.md5,
            crc32c=content.crc32c,
            created_at=now,
            updated_at=now,
            settings={key: settings[key] for key in _STORED_SETTINGS if settings.get(key) is not None},
            content_file=self._files.content_name(name, self._last_generation),
        )


def _check_custom_time(current: object, new: object) -> None:
    """Raise StorageError 400 unless the new time, if any, is a time and not before the current one."""
    if new is None:
        return
    try:
        is_earlier = current is not None and _time(new) < _time(current)
    except ValueError as error:
        raise StorageError(400, "invalid", f"Invalid value for customTime: {new}") from error
    if is_earlier:
        raise StorageError(400, "invalid", "Custom time cannot be set to an earlier time.")


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))
