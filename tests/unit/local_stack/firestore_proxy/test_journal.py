"""The Firestore proxy's journal and its replay, without an emulator."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.cloud.firestore_v1.types import firestore as calls
from google.cloud.firestore_v1.types import write as writes
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from local_stack.firestore_proxy.journal import CallKind, Journal, Record
from local_stack.firestore_proxy.replay import batches

DATABASE = "projects/demo-x/databases/(default)"
SECOND = 1_000_000_000


def name(document: str) -> str:
    return f"{DATABASE}/documents/tasks/{document}"


def a_set(document: str, **fields: int) -> Any:
    write = writes.Write.pb()()
    write.update.name = name(document)
    for key, value in fields.items():
        write.update.fields[key].integer_value = value
    return write


def an_update(document: str, **fields: int) -> Any:
    write = a_set(document, **fields)
    write.update_mask.field_paths.extend(fields)
    return write


def a_removal_of_field(document: str, field: str) -> Any:
    write = a_set(document)
    write.update_mask.field_paths.append(field)
    return write


def a_deletion(document: str) -> Any:
    return writes.Write.pb()(delete=name(document))


def committed(at: int, *made: Any, results: tuple[int, ...] = ()) -> Record:
    """Return a commit at this second. `results` are those of the first write's transformations."""
    response = calls.CommitResponse.pb()(commit_time=Timestamp(seconds=at))
    for _ in made:
        response.write_results.add().update_time.seconds = at
    for value in results:
        response.write_results[0].transform_results.add().integer_value = value
    request = calls.CommitRequest.pb()(database=DATABASE, writes=made)
    return Record(
        kind=CallKind.COMMIT, request=request.SerializeToString(), response=response.SerializeToString()
    )


def replayed(*records: Record) -> dict[str, dict[str, int]]:
    """Return the documents after the replay on an empty database."""
    documents: dict[str, dict[str, int]] = {}
    for request in batches(records):
        names = [write.delete or write.update.name for write in request.writes]
        assert len(names) == len(set(names)), "a BatchWrite may hold one write to a document"
        for write in request.writes:
            assert not write.HasField("current_document")
            if write.delete:
                documents.pop(write.delete, None)
                continue
            fields = {key: value.integer_value for key, value in write.update.fields.items()}
            if write.HasField("update_mask"):
                kept = documents.get(write.update.name, {})
                masked = set(write.update_mask.field_paths)
                fields = {key: value for key, value in kept.items() if key not in masked} | fields
            documents[write.update.name] = fields
    return {key.rpartition("/")[2]: value for key, value in documents.items()}


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Simulate a full disk: writes beyond this file size fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_replay_restores_documents_in_order_of_commit() -> None:
    records = (
        committed(3, an_update("a", step=2)),
        committed(1, a_set("a", step=0, seed=7)),
        committed(2, an_update("a", step=1), a_set("b", step=0)),
        committed(4, a_deletion("b")),
        committed(5, a_set("c", step=1)),
        committed(6, a_deletion("c")),
        committed(7, a_set("c", step=9)),
    )
    assert replayed(*records) == {"a": {"step": 2, "seed": 7}, "c": {"step": 9}}


def test_replay_sends_one_write_per_document() -> None:
    records = [committed(1, a_set("a", step=0))]
    records += [committed(at, an_update("a", step=at)) for at in range(2, 50)]
    [request] = batches(records)
    assert len(request.writes) == 1


def test_replay_of_an_increment_sets_its_result() -> None:
    increment = an_update("a")
    increment.update_mask.SetInParent()
    increment.update_transforms.add(field_path="count").increment.integer_value = 1
    record = committed(1, increment, results=(5,))
    assert replayed(record, record) == {"a": {"count": 5}}


def test_replay_drops_preconditions_and_removed_fields() -> None:
    creation = a_set("a", step=0, old=1)
    creation.current_document.exists = False
    assert replayed(committed(1, creation), committed(2, a_removal_of_field("a", "old"))) == {
        "a": {"step": 0}
    }


def test_replay_merges_values_into_a_replaced_map() -> None:
    whole, part = an_update("a"), an_update("a")
    whole.update.fields["progress"].map_value.fields["step"].integer_value = 1
    whole.update.fields["progress"].map_value.fields["of"].integer_value = 20
    whole.update_mask.field_paths.append("progress")
    part.update.fields["progress"].map_value.fields["step"].integer_value = 2
    part.update_mask.field_paths.append("progress.step")
    [request] = batches([committed(1, whole), committed(2, part)])
    [write] = request.writes
    assert list(write.update_mask.field_paths) == ["progress"]
    progress = write.update.fields["progress"].map_value.fields
    assert {key: value.integer_value for key, value in progress.items()} == {"step": 2, "of": 20}


def test_replay_skips_failed_writes_of_a_batch() -> None:
    request = calls.BatchWriteRequest.pb()(database=DATABASE, writes=[a_set("a", step=1), a_set("b", step=1)])
    response = calls.BatchWriteResponse.pb()(status=[Status(code=0), Status(code=9)])
    response.write_results.add().update_time.seconds = 1
    response.write_results.add()
    record = Record(
        kind=CallKind.BATCH_WRITE,
        request=request.SerializeToString(),
        response=response.SerializeToString(),
    )
    assert replayed(record) == {"a": {"step": 1}}


@pytest.mark.parametrize(
    "damage",
    [lambda data: data + data[:-1], lambda data: data + bytes(4_096)],
    ids=["a crash while writing", "a power failure"],
)
def test_journal_skips_incomplete_records(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    journal = Journal(tmp_path)
    record = Record(kind=CallKind.COMMIT, request=b"a request", response=b"a response")
    journal.append(record)
    [segment] = tmp_path.iterdir()
    segment.write_bytes(damage(segment.read_bytes()))
    assert list(Journal(tmp_path).records()) == [record]


def test_journal_continues_after_a_full_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record = Record(kind=CallKind.COMMIT, request=b"a request" * 100, response=b"a response")
    journal.append(record)
    with file_size_limit(1_200), pytest.raises(OSError, match="too large"):
        journal.append(record)
    journal.append(record)
    assert list(Journal(tmp_path).records()) == [record, record]


def test_journal_discards_segments_finished_before_the_export(tmp_path: Path) -> None:
    now = [0]
    journal = Journal(tmp_path, now_ns=lambda: now[0])
    for second in (10, 20, 30):
        now[0] = second * SECOND
        journal.append(Record(kind=CallKind.COMMIT, request=str(second).encode(), response=b""))
    Journal(tmp_path).discard_before(25 * SECOND)
    assert [record.request for record in journal.records()] == [b"20", b"30"]
    journal.discard_all()
    assert list(journal.records()) == []
