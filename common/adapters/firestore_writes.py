"""Firestore writes as plain protobuf messages.

The library's own `create` and `update` wrap each value of a document in a Python object several
times. That takes four times as much CPU time as everything else in a submission.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.api_core import exceptions as google_errors
from google.api_core.gapic_v1 import routing_header
from google.api_core.grpc_helpers import wrap_errors
from google.cloud import firestore
from google.cloud.firestore_v1.types import firestore as calls
from google.cloud.firestore_v1.types import write as writes
from google.protobuf.timestamp_pb2 import Timestamp

from common.adapters.firestore_revisions import update_time_of

_CommitRequest, _CommitResponse = calls.CommitRequest.pb(), calls.CommitResponse.pb()
_BatchRequest, _BatchResponse = calls.BatchWriteRequest.pb(), calls.BatchWriteResponse.pb()
_Write = writes.Write.pb()


class FirestoreWrites:
    """Writes to one collection. Thread-safe.

    Nothing is retried, since the outcome of a failed write may be unknown. `commit` raises the
    errors of Google's client: Conflict, FailedPrecondition, NotFound, ServiceUnavailable …
    """

    def __init__(self, client: firestore.Client, collection: str, *, timeout_seconds: float) -> None:
        self._database = client._database_string
        self._documents = f"{self._database}/documents/{collection}"
        self._timeout = timeout_seconds
        route = routing_header.to_grpc_metadata((("database", self._database),))
        self._metadata = [*client._rpc_metadata, route]
        channel = client._firestore_api.transport.grpc_channel
        self._commit = _method(channel, "Commit", _CommitRequest, _CommitResponse)
        self._batch_write = _method(channel, "BatchWrite", _BatchRequest, _BatchResponse)

    def creation(self, document_id: str, fields: Mapping[str, Any]) -> Any:
        """Return a write that creates a document; its id must be unused."""
        write = _Write()
        write.update.name = f"{self._documents}/{document_id}"
        write.current_document.exists = False
        for name, value in fields.items():
            _put(write.update.fields[name], value)
        return write

    def change(self, document_id: str, changes: Mapping[str, Any], *, revision: str) -> Any:
        """Return a write of these fields, by path, if the document still has this revision.

        The names in a path must be valid unquoted: letters, digits and underscores.
        """
        write = _Write()
        write.update.name = f"{self._documents}/{document_id}"
        write.current_document.update_time.CopyFrom(update_time_of(revision))
        write.update_mask.field_paths.extend(changes)
        for path, value in changes.items():
            *parents, name = path.split(".")
            fields = write.update.fields
            for parent in parents:
                fields = fields[parent].map_value.fields
            _put(fields[name], value)
        return write

    def addition(self, document_id: str, amounts: Mapping[str, float], fields: Mapping[str, Any]) -> Any:
        """Return a write that sets these fields and adds the amounts to stored numbers, or to 0.

        The document is created if missing. The names must be valid unquoted.
        """
        write = _Write()
        write.update.name = f"{self._documents}/{document_id}"
        write.update_mask.field_paths.extend(fields)
        for name, value in fields.items():
            _put(write.update.fields[name], value)
        for name, amount in amounts.items():
            _put(write.update_transforms.add(field_path=name).increment, amount)
        return write

    def deletion(self, document_id: str, *, revision: str) -> Any:
        """Return a write that deletes a document if it still has this revision."""
        write = _Write(delete=f"{self._documents}/{document_id}")
        write.current_document.update_time.CopyFrom(update_time_of(revision))
        return write

    def commit(self, *made: Any) -> Timestamp:
        """Apply all writes or none; return the time of the first."""
        request = _CommitRequest(database=self._database, writes=made)
        answer = self._commit(request, timeout=self._timeout, metadata=self._metadata)
        return answer.write_results[0].update_time

    def each(self, made: Sequence[Any]) -> list[Timestamp | google_errors.GoogleAPICallError]:
        """Apply at most 500 writes to different documents independently, in one call.

        Returns the time or the error of each.
        """
        request = _BatchRequest(database=self._database, writes=made)
        answer = self._batch_write(request, timeout=self._timeout, metadata=self._metadata)
        return [
            google_errors.from_grpc_status(status.code, status.message) if status.code else result.update_time
            for result, status in zip(answer.write_results, answer.status, strict=True)
        ]


def _method(channel: Any, name: str, request: Any, response: Any) -> Any:
    call = channel.unary_unary(
        f"/google.firestore.v1.Firestore/{name}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    return wrap_errors(call)


def _put(target: Any, value: Any) -> None:
    """Set an empty protobuf Value to a Python value."""
    match value:
        case None:
            target.null_value = 0
        case str():
            target.string_value = value
        case bool():
            target.boolean_value = value
        case int():
            target.integer_value = value
        case float():
            target.double_value = value
        case datetime():
            target.timestamp_value.FromDatetime(value)
        case bytes():
            target.bytes_value = value
        case dict():
            target.map_value.SetInParent()
            for name, item in value.items():
                _put(target.map_value.fields[name], item)
        case list() | tuple():
            target.array_value.SetInParent()
            for item in value:
                _put(target.array_value.values.add(), item)
        case _:
            raise TypeError(f"no value of Firestore's: {type(value).__name__}")
