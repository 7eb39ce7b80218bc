"""darkroom dead-letters, and errors that all commands report."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from common.wire_formats.task_message import encode_task_message
from darkroom.cli.exit_codes import ExitCode
from frontend_api.dead_letters.dead_letter import DeadLetter, DeadMessage
from frontend_api.identity.emulator_tokens import unsigned_token
from terminal import Terminal
from tests.unit.frontend_api.conftest import PROJECT, Api

DIED_AT = datetime.now(UTC) - timedelta(days=2)


def archived(
    api: Api, body: bytes = b"junk", *, number: int = 0, attributes: dict[str, str] | None = None
) -> DeadLetter:
    died_at = DIED_AT + timedelta(seconds=number)
    message = DeadMessage(
        message_id=str(number), published_at=died_at, body=body, attributes=attributes or {}
    )
    letter = DeadLetter.of(message, now=api.clock.now(), keep_for=timedelta(days=30))
    api.dead_letters.add(letter)
    return letter


def test_dead_letters_list_of_an_empty_archive(darkroom: Terminal) -> None:
    assert darkroom("dead-letters", "list") == (0, "No dead letters.\n", "")
    assert darkroom("dead-letters", "list", "--json") == (0, "[]\n", "")


def test_dead_letters_list_is_newest_first(api: Api, darkroom: Terminal) -> None:
    task = api.stored_task()
    old = archived(
        api,
        encode_task_message(task, result_bucket="images"),
        attributes={"dead_letter_delivery_count": "100"},
    )
    young = archived(api, number=1, attributes={"dead_letter_reason": "x" * 200})
    api.dead_letters.record_replay(old.id, api.clock.now())
    code, out, err = darkroom("dead-letters", "list")
    head, first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert head.split() == ["ID", "DIED", "DELIVERIES", "TASK", "REASON"]
    assert first.startswith(f"{young.id}  ")
    assert "unreadable" in first
    assert first.endswith("…")
    assert (" 100 " in second, f" {task.id} " in second, "(replayed " in second) == (True, True, True)


def test_dead_letters_list_says_when_there_are_more(api: Api, darkroom: Terminal) -> None:
    for number in range(120):
        archived(api, number=number)
    code, out, err = darkroom("dead-letters", "list", "--limit", "110")
    assert (code, len(out.splitlines()), err) == (
        0,
        111,
        "Only the first 110 are shown: increase --limit to see more.\n",
    )
    assert len(json.loads(darkroom("dead-letters", "list", "--limit", "500", "--json")[1])) == 120


def test_dead_letters_show_escapes_control_characters(api: Api, darkroom: Terminal) -> None:
    letter = archived(api, b"\x1b[2Jjunk\x07", attributes={"evil\x1b": "\x1b]0;owned\x07"})
    code, out, _ = darkroom("dead-letters", "show", letter.id)
    assert code == 0
    assert r"\x1b[2Jjunk\x07" in out
    assert r"attribute evil\x1b" in out
    assert not set(out) & {"\x1b", "\x07"}
    assert json.loads(darkroom("dead-letters", "show", letter.id, "--json")[1])["body"] == "\x1b[2Jjunk\x07"


def test_dead_letters_show_indents_json(api: Api, darkroom: Terminal) -> None:
    letter = archived(api, b'{"version": "2.0", "task_id": "task-1"}')
    assert '\n  "task_id": "task-1"\n' in darkroom("dead-letters", "show", letter.id)[1]


def test_dead_letters_replay_continues_after_a_refusal(api: Api, darkroom: Terminal) -> None:
    task = api.stored_task()
    junk, good = archived(api), archived(api, encode_task_message(task, result_bucket="images"), number=1)
    code, out, err = darkroom("dead-letters", "replay", junk.id, good.id)
    assert (code, out) == (1, f"{good.id}: task {task.id} is queued.\n")
    assert err.startswith(
        f"{junk.id}: The dead letter cannot be decoded (dead_letter_undecodable)\n  no worker can"
    )
    code, out, _ = darkroom("dead-letters", "replay", good.id, "--json")
    assert (code, [task["id"] for task in json.loads(out)]) == (0, [task.id])


def test_dead_letters_purge_by_id_and_by_age(api: Api, darkroom: Terminal) -> None:
    letters = [archived(api, number=number) for number in range(3)]
    assert darkroom("dead-letters", "purge", letters[0].id, "--yes") == (0, "Deleted 1 dead letter.\n", "")
    assert darkroom("dead-letters", "purge", "--older-than", "1d", "--yes", "--json") == (
        0,
        '{\n  "deleted": 2\n}\n',
        "",
    )
    assert darkroom("dead-letters", "list")[1] == "No dead letters.\n"


def test_dead_letters_purge_asks_for_confirmation(
    api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = archived(api)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, err = darkroom("dead-letters", "purge", letter.id)
    assert (code, out.strip()) == (1, "")
    assert "Delete 1 dead letter?" in err
    assert len(json.loads(darkroom("dead-letters", "list", "--json")[1])) == 1


@pytest.mark.parametrize(
    "words",
    [("purge",), ("purge", "x", "--older-than", "7d"), ("purge", "--older-than", "7 days"), ("show",)],
)
def test_dead_letters_report_invalid_arguments(darkroom: Terminal, words: tuple[str, ...]) -> None:
    code, out, err = darkroom("dead-letters", *words)
    assert (code, out) == (2, "")
    assert "Usage: darkroom dead-letters" in err


def test_dead_letters_refusals_set_the_exit_code(darkroom: Terminal, api: Api) -> None:
    code, _, err = darkroom("dead-letters", "show", "no/such letter?")
    assert code == ExitCode.NOT_FOUND
    api.dead_letters.unavailable = True
    code, _, err = darkroom("dead-letters", "list")
    assert code == ExitCode.UNAVAILABLE
    assert err.startswith("darkroom: Dependency unavailable (dependency_unavailable)\n  firestore")
    assert "Try again in 2 s." in err


def test_dead_letters_are_forbidden_for_other_callers(darkroom: Terminal) -> None:
    code, _, err = darkroom("dead-letters", "list", "--token", unsigned_token("ada", project_id=PROJECT))
    assert (code, err.splitlines()[0]) == (ExitCode.NOT_ALLOWED, "darkroom: Forbidden (forbidden)")
