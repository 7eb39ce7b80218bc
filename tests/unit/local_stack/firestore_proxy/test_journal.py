"""The Firestore proxy's journal and its replay, without an emulator."""

import asyncio
import errno
import os
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud.firestore_v1.types import firestore as calls
from google.cloud.firestore_v1.types import write as writes
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from local_stack.durable_files import sync
from local_stack.firestore_proxy.__main__ import keep_synced
from local_stack.firestore_proxy.journal import CallKind, Journal, Record
from local_stack.firestore_proxy.replay import batches

DATABASE = "projects/demo-x/databases/(default)"


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


def test_replay_restores_documents_of_concurrent_calls_in_order_of_commit() -> None:
    records = (
        committed(3, an_update("a", step=2)),
        replace(committed(1, a_set("a", step=0, seed=7)), overlap=1),
        replace(committed(2, an_update("a", step=1), a_set("b", step=0)), overlap=2),
        committed(4, a_deletion("b")),
        committed(5, a_set("c", step=1)),
        committed(6, a_deletion("c")),
        committed(7, a_set("c", step=9)),
    )
    assert replayed(*records) == {"a": {"step": 2, "seed": 7}, "c": {"step": 9}}


def test_replay_keeps_the_order_when_the_clock_was_set_back() -> None:
    records = (
        committed(3600, a_set("a", step=1)),
        committed(2, an_update("a", step=2)),
        committed(3, an_update("a", step=4)),
        replace(committed(1, an_update("a", step=3)), overlap=1),  # concurrent with the one before
    )
    assert replayed(*records) == {"a": {"step": 4}}
    assert replayed(*records, committed(0, an_update("a", step=5))) == {"a": {"step": 5}}


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


def stored(folder: Path, records: list[Record]) -> Path:
    """Store records in one segment and return it."""
    journal = Journal(folder)
    for record in records:
        journal.append(record)
    journal.close()
    [segment] = folder.iterdir()
    return segment


@pytest.mark.parametrize("zeros", [0, 64], ids=["a crash while writing", "a power failure"])
def test_journal_ends_at_the_first_incomplete_record(tmp_path: Path, zeros: int) -> None:
    records = [committed(at, a_set("a", step=at)) for at in range(1, 4)]
    data = (segment := stored(tmp_path, records)).read_bytes()
    size = len(data) // len(records)
    for cut in range(len(data)):
        segment.write_bytes(data[:cut] + bytes(zeros))
        assert list(Journal(tmp_path).records()) == records[: cut // size]


def test_journal_ends_at_a_record_whose_middle_was_not_written(tmp_path: Path) -> None:
    records = [committed(at, a_set("a", step=at)) for at in range(1, 4)]
    data = bytearray((segment := stored(tmp_path, records)).read_bytes())
    second = len(data) // 3
    data[second + 30 : second + 60] = bytes(30)
    segment.write_bytes(data)
    assert list(Journal(tmp_path).records()) == records[:1]


def without_checksum(record: Record) -> bytes:
    """Return a record as version 1.0 stored it."""
    header = struct.pack(">BII", record.kind, len(record.request), len(record.response))
    return header + record.request + record.response


def test_segments_without_checksums_are_replayed_first_and_in_order_of_commit(tmp_path: Path) -> None:
    old = [committed(2, an_update("a", step=2)), committed(1, a_set("a", step=1, seed=7))]
    segment = tmp_path / f"{1_700_000_000_000_000_000:020d}.journal"
    segment.write_bytes(b"".join(map(without_checksum, old)))
    journal = Journal(tmp_path)
    journal.append(committed(1, an_update("a", step=3)))
    assert replayed(*journal.records()) == {"a": {"step": 3, "seed": 7}}
    journal.discard_before(journal.begin_segment())
    assert not segment.exists()


def test_damaged_record_without_checksum_ends_its_segment(tmp_path: Path) -> None:
    complete, damaged = (without_checksum(committed(at, a_set("a", step=at))) for at in (1, 2))
    segment = tmp_path / f"{1_700_000_000_000_000_000:020d}.journal"
    for cut in range(len(damaged)):
        segment.write_bytes(complete + damaged[:cut] + bytes(len(damaged) - cut + 64))
        restored = replayed(*Journal(tmp_path).records())
        assert restored == {"a": {"step": 1}} or cut > len(damaged) - 4  # its request is complete


@pytest.mark.parametrize("can_truncate", [True, False])
def test_journal_continues_after_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_truncate: bool
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal = Journal(tmp_path)
    record = Record(kind=CallKind.COMMIT, request=b"a request" * 100, response=b"a response")
    journal.append(record)
    with monkeypatch.context() as patch:
        if not can_truncate:
            patch.setattr(os, "ftruncate", fail)
        with file_size_limit(1_200), pytest.raises(OSError, match="too large"):
            journal.append(record)
    journal.append(record)
    assert list(Journal(tmp_path).records()) == [record, record]
    assert len(list(tmp_path.iterdir())) == (1 if can_truncate else 2)


def test_journal_discards_the_segments_before_the_one_that_an_export_began(tmp_path: Path) -> None:
    journal, exporter = Journal(tmp_path), Journal(tmp_path)
    begun = []
    for request in (b"first", b"second"):
        journal.append(Record(kind=CallKind.COMMIT, request=request, response=b""))
        begun.append(exporter.begin_segment())
    journal.append(Record(kind=CallKind.COMMIT, request=b"third", response=b""))
    exporter.discard_before(begun[0])
    assert [record.request for record in journal.records()] == [b"second", b"third"]
    exporter.discard_before(begun[1])
    assert [record.request for record in journal.records()] == [b"third"]
    journal = Journal(tmp_path)  # a later start
    journal.append(Record(kind=CallKind.COMMIT, request=b"fourth", response=b""))
    exporter.discard_before(begun[1] + 1)
    assert [record.request for record in journal.records()] == [b"fourth"]


def test_empty_segment_is_used_again(tmp_path: Path) -> None:
    """Failed exports and a full disk then leave one empty file, not one for each attempt."""
    stored(tmp_path, [committed(1, a_set("a", step=1))])
    begun = {Journal(tmp_path).begin_segment() for _ in range(3)}
    with file_size_limit(0):
        for _ in range(3):
            with pytest.raises(OSError, match="too large"):
                Journal(tmp_path).append(committed(2, a_set("a", step=2)))
    assert len(begun) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_segment_begins_after_the_disk_has_the_earlier_one(
    tmp_path: Path, file_steps: list[tuple[str, Path]]
) -> None:
    """A power failure then loses the end of the journal, and no record before stored ones."""
    journal = Journal(tmp_path)
    record = committed(1, a_set("a", step=1))
    journal.append(record)
    [first] = tmp_path.iterdir()
    file_steps.clear()
    journal = Journal(tmp_path)
    journal.append(record)
    [_, second] = sorted(tmp_path.iterdir())
    assert file_steps == [("sync", first), ("create", second), ("sync", tmp_path), ("write", second)]
    Journal(tmp_path).begin_segment()  # by an export, in another process
    file_steps.clear()
    journal.append(record)
    [*_, third] = sorted(tmp_path.iterdir())
    assert file_steps == [("sync", second), ("sync", third), ("write", third)]


def test_write_is_stored_when_an_export_deletes_the_segment_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync_late(path: Path) -> None:
        exporter.discard_before(begun)
        sync(path)

    journal, exporter = Journal(tmp_path), Journal(tmp_path)
    journal.append(committed(1, a_set("a", step=1)))
    begun = exporter.begin_segment()
    monkeypatch.setattr("local_stack.firestore_proxy.journal.sync", sync_late)
    journal.append(committed(2, a_set("a", step=2)))
    assert list(journal.records()) == [committed(2, a_set("a", step=2))]


def test_new_records_are_synced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[str]:
        journal, synced = Journal(tmp_path), asyncio.Event()
        real_sync, loop, syncs = journal.sync, asyncio.get_running_loop(), []

        def sync() -> None:
            real_sync()
            syncs.append("sync")
            loop.call_soon_threadsafe(synced.set)

        journal.append(committed(1, a_set("a", step=1)))
        monkeypatch.setattr(journal, "sync", sync)
        syncing = asyncio.create_task(keep_synced(journal, interval_seconds=0.001))
        await asyncio.wait_for(synced.wait(), timeout=60)
        for _ in range(20):
            await asyncio.sleep(0.001)
        syncing.cancel()
        return syncs

    assert asyncio.run(scenario()) == ["sync"]
