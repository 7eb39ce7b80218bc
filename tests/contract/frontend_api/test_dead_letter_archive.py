"""The DeadLetterArchive's contract, on the fake and on Firestore's emulator."""

from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.firestore import Client

from common.ports import InvalidPageTokenError
from frontend_api.adapters.firestore.dead_letter_archive import FirestoreDeadLetterArchive
from frontend_api.dead_letters.dead_letter import DeadLetter, DeadLetterNotFoundError, DeadMessage
from frontend_api.dead_letters.ports import DeadLetterArchive
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW
from tests.fakes.in_memory_dead_letter_archive import InMemoryDeadLetterArchive


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def archive(request: pytest.FixtureRequest) -> DeadLetterArchive:
    if request.param == "fake":
        return InMemoryDeadLetterArchive()
    return FirestoreDeadLetterArchive(request.getfixturevalue("firestore"), timeout_seconds=60)


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest, unreachable_firestore: Client) -> DeadLetterArchive:
    if request.param == "fake":
        fake = InMemoryDeadLetterArchive()
        fake.unavailable = True
        return fake
    return FirestoreDeadLetterArchive(unreachable_firestore, timeout_seconds=0.5)


def dead_letter(second: int = 0, **changes: object) -> DeadLetter:
    message = DeadMessage(
        message_id=str(second),
        published_at=NOW + timedelta(seconds=second),
        body=b"\xff junk \x00",
        attributes={"model": "demo", "dead_letter_reason": "body is not JSON"},
    )
    fields = {"message": message, "now": NOW, "keep_for": timedelta(days=30), **changes}
    return DeadLetter.of(**fields)  # type: ignore[arg-type]


def ids_of(archive: DeadLetterArchive) -> list[str]:
    return [letter.id for letter in archive.list_page(page_size=100).letters]


def test_letter_is_read_as_added(archive: DeadLetterArchive) -> None:
    letter = replace(
        dead_letter(), delivery_count=5, first_published_at=NOW, task_id="task-1", subscription="tasks"
    )
    assert archive.add(letter)
    assert archive.get(letter.id) == letter


def test_every_pubsub_attribute_is_kept(archive: DeadLetterArchive) -> None:
    names = {"__reserved__": "1", "a.b": "2", "`": "3", "ключ": "значение", "..": "é" * 500, "/": ""}
    letter = replace(dead_letter(), attributes=names, body=bytes(range(256)) * 1_562, body_bytes=9_000_000)
    archive.add(letter)
    assert archive.get(letter.id) == letter


def test_repeated_letter_changes_nothing(archive: DeadLetterArchive) -> None:
    letter = dead_letter()
    archive.add(letter)
    archive.record_replay(letter.id, NOW)
    assert not archive.add(dead_letter())
    assert archive.get(letter.id) == replace(letter, replayed_at=NOW)


@pytest.mark.parametrize(
    "letter_id", ["20260101-120000-000-9", "x", "..", "a/b/c", "__all__", "", "é" * 2_000]
)
def test_missing_letter_is_not_found(archive: DeadLetterArchive, letter_id: str) -> None:
    for call in (archive.get, archive.delete, lambda name: archive.record_replay(name, NOW)):
        with pytest.raises(DeadLetterNotFoundError):
            call(letter_id)


def test_deleted_letter_is_not_found(archive: DeadLetterArchive) -> None:
    archive.add(dead_letter(1))
    archive.add(dead_letter(2))
    archive.delete(dead_letter(1).id)
    assert ids_of(archive) == [dead_letter(2).id]
    with pytest.raises(DeadLetterNotFoundError):
        archive.delete(dead_letter(1).id)


def test_pages_contain_every_letter_once_newest_first_without_body(archive: DeadLetterArchive) -> None:
    letters = [dead_letter(second) for second in range(5)]
    for letter in letters:
        archive.add(letter)
    listed: list[DeadLetter] = []
    token = None
    while True:
        page = archive.list_page(page_size=2, page_token=token)
        listed += page.letters
        token = page.next_page_token
        if token is None:
            break
    assert listed == [replace(letter, body=b"") for letter in letters[::-1]]


def test_foreign_page_token_is_refused(archive: DeadLetterArchive) -> None:
    for token in ("nonsense", "é", "../tasks/x"):
        with pytest.raises(InvalidPageTokenError):
            archive.list_page(page_size=2, page_token=token)


def test_purge_deletes_the_oldest_up_to_its_limit(archive: DeadLetterArchive) -> None:
    for second in range(6):
        archive.add(dead_letter(second))
    before = NOW + timedelta(seconds=4)
    assert archive.purge(died_before=before, limit=3) == 3
    assert ids_of(archive) == [dead_letter(second).id for second in (5, 4, 3)]
    assert archive.purge(died_before=before, limit=1_000) == 1
    assert archive.purge(died_before=before, limit=1_000) == 0
    assert ids_of(archive) == [dead_letter(second).id for second in (5, 4)]


@pytest.mark.timeout(30)
def test_archive_raises_within_seconds_when_unreachable(unreachable: DeadLetterArchive) -> None:
    letter = dead_letter()
    assert_each_raises_unavailable(
        lambda: unreachable.add(letter),
        lambda: unreachable.get(letter.id),
        lambda: unreachable.list_page(page_size=1),
        lambda: unreachable.record_replay(letter.id, NOW),
        lambda: unreachable.delete(letter.id),
        lambda: unreachable.purge(died_before=NOW, limit=1),
    )
