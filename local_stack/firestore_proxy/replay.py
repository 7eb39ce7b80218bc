"""Convert journal records into writes that restore them on an older, newer or concurrent export.

Records are in the order of their writes, except those of concurrent calls, which are ordered by
commit time. The commit times of all others may be wrong: the clock may have been set back.
Preconditions are dropped: they held. A transformation (an increment, the server's time) becomes its
resulting value, so that repeating it changes nothing. Writes to one document are combined into one
where possible.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from google.cloud.firestore_v1.field_path import FieldPath
from google.cloud.firestore_v1.types import firestore as calls
from google.cloud.firestore_v1.types import write as writes
from google.protobuf.message import DecodeError

from local_stack.firestore_proxy.journal import CallKind, Record

logger = structlog.get_logger(__name__)

_CommitRequest, _CommitResponse = calls.CommitRequest.pb(), calls.CommitResponse.pb()
_BatchRequest, _BatchResponse = calls.BatchWriteRequest.pb(), calls.BatchWriteResponse.pb()
_Write = writes.Write.pb()

_MAX_WRITES = 500
_MAX_BYTES = 4_000_000


def batches(records: Iterable[Record]) -> Iterator[Any]:
    """Yield the BatchWrite requests, to be sent in sequence, that restore the records."""
    confirmed = sorted(_confirmed(records), key=lambda one: one[0])  # keeps the order of equal times
    rounds: list[dict[str, Any]] = []
    latest: dict[str, int] = {}
    databases: dict[str, str] = {}
    for _, database, write in confirmed:
        name = write.delete or write.update.name
        databases[name] = database
        number = latest.get(name)
        if number is not None and _fold(rounds[number], name, write):
            continue
        number = 0 if number is None else number + 1
        if number == len(rounds):
            rounds.append({})
        rounds[number][name] = write
        latest[name] = number
    for one_round in rounds:
        yield from _requests(one_round, databases)


def _confirmed(records: Iterable[Record]) -> Iterator[tuple[tuple[int, int], str, Any]]:
    """Yield each successful write, made repeatable, with its place in the order and its database.

    The place is the commit time, but after the latest place of all records whose writes were made
    before this call was sent.
    """
    latest = [0]  # of the first n records
    for number, record in enumerate(records):
        earlier = latest[max(0, number - record.overlap)]
        latest.append(latest[-1])
        for commit_time, database, write in _successful(record):
            # A deletion in a BatchWrite may have no time: it follows the writes confirmed before it.
            time = commit_time or latest[-1]
            place = max(time, earlier + 1)
            latest[-1] = max(latest[-1], place)
            yield (place, time), database, write


def _successful(record: Record) -> Iterator[tuple[int, str, Any]]:
    """Yield the record's successful writes, made repeatable, with commit time and database."""
    try:
        if record.kind is CallKind.COMMIT:
            request = _CommitRequest.FromString(record.request)
            response = _CommitResponse.FromString(record.response)
            commit_times = [response.commit_time] * len(request.writes)
            succeeded = [True] * len(request.writes)
        else:
            request = _BatchRequest.FromString(record.request)
            response = _BatchResponse.FromString(record.response)
            commit_times = [result.update_time for result in response.write_results]
            succeeded = [status.code == 0 for status in response.status]
    except DecodeError as error:  # damaged, by a version whose records had no checksum
        logger.warning("journal_record_unreadable", reason=str(error))
        return
    for write, result, commit_time, is_done in zip(
        request.writes, response.write_results, commit_times, succeeded, strict=True
    ):
        if is_done and (repeatable := _repeatable(write, result)) is not None:
            yield commit_time.ToNanoseconds(), request.database, repeatable


def _repeatable(write: Any, result: Any) -> Any:
    """Return the write with the results of its transformations; None if it is empty."""
    kind = write.WhichOneof("operation")
    if kind == "verify":
        return None
    repeatable = _Write()
    repeatable.CopyFrom(write)
    repeatable.ClearField("current_document")
    if kind == "delete":
        return repeatable
    if kind == "transform":  # an older library sends a transformation by itself
        repeatable.update.name = write.transform.document
        repeatable.update_mask.SetInParent()
        transforms = write.transform.field_transforms
    else:
        transforms = write.update_transforms
    repeatable.ClearField("update_transforms")
    for transform, value in zip(transforms, result.transform_results, strict=True):
        if value.WhichOneof("value_type") in (None, "null_value"):  # transformations of arrays are repeatable
            repeatable.update_transforms.append(transform)
            continue
        path = FieldPath.from_api_repr(transform.field_path).parts
        _put(repeatable.update.fields, path, value)
        if repeatable.HasField("update_mask"):
            repeatable.update_mask.field_paths.append(transform.field_path)
    return repeatable


def _fold(one_round: dict[str, Any], name: str, later: Any) -> bool:
    """Merge a later write into the earlier one. Returns False if that is impossible."""
    earlier = one_round[name]
    if later.delete or not later.HasField("update_mask"):
        if later.update_transforms:
            return False
        one_round[name] = later
        return True
    if earlier.update_transforms or later.update_transforms:
        return False
    if earlier.delete:  # the later write then creates the document with only these fields
        earlier = _Write()
        earlier.update.name = name
        one_round[name] = earlier
    for field_path in later.update_mask.field_paths:
        path = FieldPath.from_api_repr(field_path).parts
        _put(earlier.update.fields, path, _value_at(later.update.fields, path))
        if earlier.HasField("update_mask"):
            _widen(earlier.update_mask.field_paths, path, field_path)
    return True


def _put(fields: Any, path: tuple[str, ...], value: Any) -> None:
    """Set the value at a path of nested maps, or remove it for None."""
    *parents, last = path
    for parent in parents:
        if value is None and parent not in fields:
            return
        if fields[parent].WhichOneof("value_type") != "map_value":
            fields[parent].map_value.SetInParent()
        fields = fields[parent].map_value.fields
    if value is not None:
        fields[last].CopyFrom(value)
    elif last in fields:
        del fields[last]


def _value_at(fields: Any, path: tuple[str, ...]) -> Any:
    *parents, last = path
    for parent in parents:
        if parent not in fields or fields[parent].WhichOneof("value_type") != "map_value":
            return None
        fields = fields[parent].map_value.fields
    return fields.get(last)


def _widen(mask: Any, path: tuple[str, ...], field_path: str) -> None:
    """Extend a mask to cover a path, without paths nested inside another one."""
    covered = {FieldPath.from_api_repr(one).parts: one for one in mask}
    if any(path[: len(known)] == known for known in covered):
        return
    kept = [text for known, text in covered.items() if known[: len(path)] != path]
    del mask[:]
    mask.extend([*kept, field_path])


def _requests(one_round: dict[str, Any], databases: dict[str, str]) -> Iterator[Any]:
    by_database: dict[str, list[Any]] = {}
    for name, write in one_round.items():
        by_database.setdefault(databases[name], []).append(write)
    for database, made in by_database.items():
        request, size = _BatchRequest(database=database), 0
        for write in made:
            if request.writes and (
                len(request.writes) == _MAX_WRITES or size + write.ByteSize() > _MAX_BYTES
            ):
                yield request
                request, size = _BatchRequest(database=database), 0
            request.writes.append(write)
            size += write.ByteSize()
        yield request
