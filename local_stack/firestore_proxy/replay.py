"""From journal records to the writes that restore what they did, on top of an export from before, amid or after them.

The order is that of the commit times, for records of concurrent calls are appended in any order. Preconditions are
dropped: they held. A transformation (an increment, the server's time) becomes the value that it resulted in, so that
repeating it changes nothing. The writes to one document are folded into one, as far as that is possible.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from google.cloud.firestore_v1.field_path import FieldPath
from google.cloud.firestore_v1.types import firestore as calls
from google.cloud.firestore_v1.types import write as writes

from local_stack.firestore_proxy.journal import CallKind, Record

_CommitRequest, _CommitResponse = calls.CommitRequest.pb(), calls.CommitResponse.pb()
_BatchRequest, _BatchResponse = calls.BatchWriteRequest.pb(), calls.BatchWriteResponse.pb()
_Write = writes.Write.pb()

_MOST_WRITES = 500
_MOST_BYTES = 4_000_000


def batches(records: Iterable[Record]) -> Iterator[Any]:
    """The BatchWrite requests, to be sent one after the other, that restore what the records did."""
    confirmed = sorted(_confirmed(records), key=lambda one: one[0])
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
    """Each write that succeeded, made repeatable, with its commit time and its database."""
    latest = (0, 0)
    for record in records:
        if record.kind is CallKind.COMMIT:
            request = _CommitRequest.FromString(record.request)
            response = _CommitResponse.FromString(record.response)
            results = response.write_results
            moments = [response.commit_time] * len(request.writes)
            succeeded = [True] * len(request.writes)
        else:
            request = _BatchRequest.FromString(record.request)
            response = _BatchResponse.FromString(record.response)
            results = response.write_results
            moments = [result.update_time for result in results]
            succeeded = [status.code == 0 for status in response.status]
        for write, result, moment, is_done in zip(request.writes, results, moments, succeeded, strict=True):
            if not is_done:
                continue
            # A deletion of a BatchWrite may be without a time: it follows what was confirmed before.
            latest = (moment.seconds, moment.nanos) if moment.seconds else latest
            if (repeatable := _repeatable(write, result)) is not None:
                yield latest, request.database, repeatable


def _repeatable(write: Any, result: Any) -> Any:
    """The write without its precondition and with results for transformations; None for one that writes nothing."""
    kind = write.WhichOneof("operation")
    if kind == "verify":
        return None
    repeatable = _Write()
    repeatable.CopyFrom(write)
    repeatable.ClearField("current_document")
    if kind == "delete":
        return repeatable
    if kind == "transform":  # what an older library sends: a transformation by itself
        repeatable.update.name = write.transform.document
        repeatable.update_mask.SetInParent()
        transforms = write.transform.field_transforms
    else:
        transforms = write.update_transforms
    repeatable.ClearField("update_transforms")
    for transform, value in zip(transforms, result.transform_results, strict=True):
        if value.WhichOneof("value_type") in (None, "null_value"):  # of arrays, and these may be repeated
            repeatable.update_transforms.append(transform)
            continue
        path = FieldPath.from_api_repr(transform.field_path).parts
        _put(repeatable.update.fields, path, value)
        if repeatable.HasField("update_mask"):
            repeatable.update_mask.field_paths.append(transform.field_path)
    return repeatable


def _fold(one_round: dict[str, Any], name: str, later: Any) -> bool:
    """Let the earlier write to this document do what the later one does, too. False where one write cannot."""
    earlier = one_round[name]
    if later.delete or not later.HasField("update_mask"):
        if later.update_transforms:
            return False
        one_round[name] = later
        return True
    if earlier.update_transforms or later.update_transforms:
        return False
    if earlier.delete:  # it makes the document anew, with these fields alone
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
    """Have a mask cover a path, and name no path inside another one."""
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
                len(request.writes) == _MOST_WRITES or size + write.ByteSize() > _MOST_BYTES
            ):
                yield request
                request, size = _BatchRequest(database=database), 0
            request.writes.append(write)
            size += write.ByteSize()
        yield request
