"""The files of buckets and objects on disk.

    BUCKET/bucket.json
    BUCKET/objects/HASH-OF-NAME.json        an object's record; replacing it commits a change
    BUCKET/contents/GENERATION-NAME         the bytes; names are percent-encoded and shortened,
                                            so that they cannot escape the folder

Files are replaced by rename without fsync: data survives a crash of the process, but not of the
machine.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local_stack.bucket_server.records import BucketRecord, ObjectRecord

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

    def save(self, record: ObjectRecord) -> None:
        _write_json(self._path(record.bucket, record.name), asdict(record))

    def delete(self, record: ObjectRecord) -> None:
        self._path(record.bucket, record.name).unlink()
        self.delete_content(record)

    def delete_content(self, record: ObjectRecord) -> None:
        (self.contents_folder(record.bucket) / record.content_file).unlink(missing_ok=True)

    def load(self) -> Iterator[tuple[BucketRecord, list[ObjectRecord]]]:
        """Load everything. Removes contents of interrupted uploads and deletes."""
        for path in sorted(self._directory.glob("*/bucket.json")):
            bucket = BucketRecord(**_read_json(path))
            objects = [ObjectRecord(**_read_json(file)) for file in (path.parent / "objects").glob("*.json")]
            known = {record.content_file for record in objects}
            for content in self.contents_folder(bucket.name).iterdir():
                if content.name not in known:
                    content.unlink()
            yield bucket, objects

    def _path(self, bucket: str, name: str) -> Path:
        return self._directory / bucket / "objects" / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.json"


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(record, default=datetime.isoformat, ensure_ascii=False, indent=1)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {
        key: datetime.fromisoformat(value) if key.endswith("_at") else value for key, value in record.items()
    }
