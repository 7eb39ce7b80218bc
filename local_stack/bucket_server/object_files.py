"""The files of buckets and objects on disk.

    BUCKET/bucket.json
    BUCKET/objects/HASH-OF-NAME.json        an object's record; replacing it commits a change
    BUCKET/contents/GENERATION-NAME         the bytes; names are percent-encoded and shortened,
                                            so that they cannot escape the folder

The disk has the bytes before the record, and the record before the client's response: a power
failure loses no object whose upload was confirmed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from local_stack.bucket_server.pending_content import PendingContent
from local_stack.bucket_server.records import BucketRecord, ObjectRecord
from local_stack.durable_files import replace_file

logger = structlog.get_logger(__name__)

_LONGEST_READABLE_NAME = 120


class ObjectFiles:
    """Reads and writes the files of all buckets, without any rules."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def contents_folder(self, bucket: str) -> Path:
        return self._directory / bucket / "contents"

    def content_name(self, name: str, generation: int) -> str:
        return f"{generation}-{quote(name, safe='')[-_LONGEST_READABLE_NAME:]}"

    def save_bucket(self, bucket: BucketRecord) -> None:
        for folder in ("objects", "contents"):
            (self._directory / bucket.name / folder).mkdir(parents=True, exist_ok=True)
        _write_json(self._directory / bucket.name / "bucket.json", asdict(bucket))

    def save_content(self, content: PendingContent, record: ObjectRecord) -> None:
        content.store_as(self.contents_folder(record.bucket) / record.content_file)

    def save(self, record: ObjectRecord) -> None:
        _write_json(self._path(record.bucket, record.name), asdict(record))

    def delete(self, record: ObjectRecord) -> None:
        """Delete the files that are left. Raises OSError; the caller may repeat the call."""
        self._path(record.bucket, record.name).unlink(missing_ok=True)
        self.delete_content(record)

    def delete_content(self, record: ObjectRecord) -> None:
        (self.contents_folder(record.bucket) / record.content_file).unlink(missing_ok=True)

    def load(self) -> Iterator[tuple[BucketRecord, list[ObjectRecord]]]:
        """Load everything. Removes contents of interrupted uploads and deletes.

        Skips records that are unreadable, as versions without fsync left them, and records whose
        content is missing, as a power failure during a deletion leaves them.
        """
        for path in sorted(self._directory.glob("*/bucket.json")):
            if (fields := _read_json(path)) is None:
                continue
            bucket = BucketRecord(**fields)
            records = map(_read_json, (path.parent / "objects").glob("*.json"))
            objects = {
                record.content_file: record
                for record in (ObjectRecord(**fields) for fields in records if fields is not None)
            }
            contents = self.contents_folder(bucket.name)
            names = {content.name for content in contents.iterdir()}
            for name in names - objects.keys():
                (contents / name).unlink()
            for missing in objects.keys() - names:
                logger.error("content_missing", bucket=bucket.name, name=objects.pop(missing).name)
            yield bucket, list(objects.values())

    def _path(self, bucket: str, name: str) -> Path:
        return self._directory / bucket / "objects" / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.json"


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(record, default=datetime.isoformat, ensure_ascii=False, indent=1)
    replace_file(path, text)


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return a record; None if the file is empty or cut short."""
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        logger.error("record_unreadable", path=str(path), reason=str(error))
        return None
    return {
        key: datetime.fromisoformat(value) if key.endswith("_at") else value for key, value in record.items()
    }
