"""The command's tasks and models, against the real application over fakes, over real HTTP."""

import io
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.domain.task import Failure, Task, TaskStatus
from darkroom.cli import options
from darkroom.cli.exit_codes import ExitCode
from darkroom.retrying import RetryPolicy
from frontend_api.identity.emulator_tokens import unsigned_token
from local_stack.free_ports import free_port
from tests.factories import parameters, worker_report
from tests.unit.darkroom.conftest import Terminal
from tests.unit.frontend_api.conftest import PNG, PROJECT, Api

MINE: dict[str, Any] = {"user_id": "olga"}


@pytest.fixture
def no_worker() -> None:
    """Requested by tests of the output without a live worker."""


@pytest.fixture(autouse=True)
def a_worker(api: Api, request: pytest.FixtureRequest) -> None:
    if "no_worker" not in request.fixturenames:
        api.reports.publish(worker_report(alive_until=api.clock.now() + timedelta(days=1)))


def queued(api: Api, task_id: str = "task-1", **changes: Any) -> Task:
    return api.stored_task(**MINE, task_id=task_id, **changes)


def cancelled(api: Api, task_id: str = "task-1") -> Task:
    return api.store.update(queued(api, task_id).id, lambda task: task.cancelled(api.clock.now()))


def failed(api: Api) -> Task:
    claimed = api.claimed_task(**MINE)
    claim, failure = claimed.claim, Failure(code="invalid_output", message="not finite", retryable=False)
    assert claim is not None
    return api.store.update(claimed.id, lambda task: task.failed(claim, failure, api.clock.now()))


def test_a_submission_prints_the_id_of_its_task(api: Api, darkroom: Terminal) -> None:
    code, out, err = darkroom(
        "submit", "a large red circle", "--steps", "4", "--seed", "7", "--label", "team=a", "--label", "x=y=z"
    )
    (task,) = api.store.all_tasks
    assert (code, out, err) == (0, f"{task.id}\n", "")
    assert (task.parameters.steps, task.parameters.seed, task.labels) == (4, 7, {"team": "a", "x": "y=z"})


@pytest.mark.usefixtures("no_worker")
def test_a_submission_says_at_once_that_no_worker_serves_the_model(
    api: Api, darkroom: Terminal, tmp_path: Path
) -> None:
    warning = "No live worker serves the model demo: the task waits until one does.\n"
    code, out, err = darkroom("submit", "a large red circle")
    assert (code, out, err) == (0, f"{api.store.all_tasks[0].id}\n", warning)
    code, out, err = darkroom("submit", "a large red circle", "--json")
    assert (code, json.loads(out)["model_served"], err) == (0, False, warning)
    code, _, err = darkroom("submit", "--batch", lines_file(tmp_path, '{"prompt": "a"}', '{"prompt": "b"}'))
    assert (code, err) == (0, warning)


@pytest.mark.usefixtures("no_worker")
def test_waiting_says_at_once_that_no_worker_serves_the_model(api: Api, darkroom: Terminal) -> None:
    queued(api)
    code, _, err = darkroom("watch", "task-1", "--timeout", "1")
    assert code == ExitCode.TIMED_OUT
    assert err.startswith("task-1: queued, next in line, no live worker serves the model demo\n")
    code, out, err = darkroom("generate", "a large red circle", "--to", "/tmp", "--timeout", "1")
    assert (code, out, "no live worker serves the model demo" in err) == (ExitCode.TIMED_OUT, "", True)


@pytest.mark.usefixtures("no_worker")
def test_models_and_queue_say_which_models_are_served(api: Api, darkroom: Terminal) -> None:
    head, row = (re.split("  +", line) for line in darkroom("models")[1].splitlines())
    assert dict(zip(head, row, strict=True))["WORKERS"] == "0"
    assert "No live worker serves: demo\n" in darkroom("queue")[1]


def test_a_submission_for_programs_is_the_task_as_the_api_has_it(api: Api, darkroom: Terminal) -> None:
    code, out, _ = darkroom("submit", "a large red circle", "--idempotency-key", "k", "--json")
    told = json.loads(out)
    read = api.client.get(
        told["urls"]["self"],
        headers={"Authorization": f"Bearer {unsigned_token('olga', project_id=PROJECT)}"},
    )
    assert (code, told) == (0, read.json)
    assert darkroom("submit", "a large red circle", "--idempotency-key", "k") == (0, f"{told['id']}\n", "")


def test_a_refusal_names_field_and_limit(darkroom: Terminal) -> None:
    code, out, err = darkroom("submit", "a large red circle", "--steps", "5000", "--width", "100")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "  /steps: must be between 1 and 100, got 5000\n" in err
    assert "  /width: must be a multiple of 64, got 100\n" in err


def lines_file(folder: Path, *lines: str) -> str:
    path = folder / "lines.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_a_file_of_submissions_is_one_task_for_each_line(
    api: Api, darkroom: Terminal, tmp_path: Path
) -> None:
    file = lines_file(tmp_path, '{"prompt": "ein roter Kreis, groß", "seed": 1}', "", '{"prompt": "b"}')
    words = ("submit", "--batch", file, "--steps", "4", "--idempotency-key", "night")
    code, out, err = darkroom(*words)
    printed = [line.split("\t") for line in out.splitlines()]
    assert [number for number, _ in printed] == ["1", "3"]
    tasks = [api.stored(task_id) for _, task_id in printed]
    assert (code, err, len(api.store.all_tasks)) == (0, "", 2)
    assert [(task.parameters.prompt, task.parameters.steps) for task in tasks] == [
        ("ein roter Kreis, groß", 4),
        ("b", 4),
    ]
    assert tasks[0].parameters.seed == 1
    assert darkroom(*words) == (0, out, "")
    assert len(api.store.all_tasks) == 2


def test_a_refused_line_holds_up_no_other(
    api: Api, darkroom: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"prompt": "a", "steps": 5000}\n{"prompt": "b"}\n'))
    code, out, err = darkroom("submit", "--batch", "-", "--json")
    (task,) = api.store.all_tasks
    assert code == ExitCode.USAGE
    assert [told["id"] for told in json.loads(out)] == [task.id]
    assert err.startswith("line 1: Parameters rejected")
    assert "/steps: must be between 1 and 100, got 5000" in err


BAD_FILES = {
    "Latin-1": ('{"prompt": "groß"}'.encode("latin-1"), "line 1 is not UTF-8"),
    "Latin-1 in line 3": (b'{"prompt": "a"}\n\n{"prompt": "\xe9"}\n', "line 3 is not UTF-8"),
    "UTF-16": ('{"prompt": "a"}'.encode("utf-16"), "line 1 is not UTF-8"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1 is not UTF-8"),
    "zero bytes": (b"\x00" * 100, "line 1 is not JSON"),
    "NaN": (b'{"prompt": "a", "guidance_scale": NaN}', "line 1 holds NaN, which is not JSON"),
    "1e999": (
        b'{"prompt": "a", "guidance_scale": 1e999}',
        "line 1 holds 1e999, which is too large for a number",
    ),
    "half of a pair": (b'{"prompt": "a\\ud83d"}', "line 1: /prompt: must be valid Unicode"),
    "deep nesting": (b'{"prompt": "a", "labels": ' + b"[" * 100_000, "line 1 is nested too deeply"),
    "endless digits": (
        b'{"prompt": "a", "seed": ' + b"9" * 5_000 + b"}",
        "line 1 holds a number of 5000 digits",
    ),
    "a key that is no text": (b'{"prompt": "a", "idempotency_key": 5}', "line 1: an Idempotency-Key is"),
}


@pytest.mark.parametrize(("content", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_read_is_one_sentence_and_nothing_is_sent(
    api: Api, darkroom: Terminal, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    code, out, err = darkroom("submit", "--batch", str(path))
    assert (code, out, api.store.all_tasks) == (ExitCode.USAGE, "", ())
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_file_with_a_byte_order_mark_is_read(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes('\ufeff{"prompt": "größer"}\r\n'.encode())
    assert darkroom("submit", "--batch", str(path))[0] == 0
    assert [task.parameters.prompt for task in api.store.all_tasks] == ["größer"]


def test_lines_whose_outcome_is_unknown_are_named_and_found_with_the_key(
    api: Api, darkroom: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_PATIENCE", RetryPolicy(max_retries=0))
    file = lines_file(
        tmp_path, *['{"prompt": "a"}'] * 3, "", '{"prompt": "b", "steps": 5000}', '{"prompt": "c"}'
    )
    api.store.loses_answers = True
    code, out, err = darkroom("submit", "--batch", file)
    assert (code, out, len(api.store.all_tasks)) == (ExitCode.UNAVAILABLE, "", 4)
    assert "line 5: Parameters rejected" in err
    found = re.search(r"The outcome of lines 1-3, 6 is unknown: .*\n--idempotency-key (\S+) finds them", err)
    assert found is not None
    api.store.loses_answers = False
    _, out, _ = darkroom("submit", "--batch", file, "--idempotency-key", found[1])
    assert [line.split("\t")[0] for line in out.splitlines()] == ["1", "2", "3", "6"]
    assert (len(api.store.all_tasks), len(api.queue.published)) == (4, 4)


def test_a_submission_whose_outcome_is_unknown_is_found_with_the_key(
    api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_PATIENCE", RetryPolicy(max_retries=0))
    api.store.loses_answers = True
    code, out, err = darkroom("submit", "a circle")
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    found = re.search(r"The outcome is unknown: .*\n--idempotency-key (\S+) finds it", err)
    assert found is not None
    api.store.loses_answers = False
    (task,) = api.store.all_tasks
    assert darkroom("submit", "a circle", "--idempotency-key", found[1])[:2] == (0, f"{task.id}\n")
    assert len(api.store.all_tasks) == 1


def test_a_server_that_was_never_reached_leaves_no_outcome_unknown(
    darkroom: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_PATIENCE", RetryPolicy(max_retries=0))
    nowhere = ("--url", f"http://127.0.0.1:{free_port()}")
    code, _, err = darkroom("submit", "--batch", lines_file(tmp_path, *['{"prompt": "a"}'] * 250), *nowhere)
    assert code == ExitCode.UNAVAILABLE
    assert err.startswith("lines 1-250: ")
    assert "unknown" not in err


@pytest.mark.parametrize("line", ["no JSON", "[]", "{}", '{"prompt": 5}'])
def test_a_line_that_is_no_submission_is_named_and_nothing_is_sent(
    api: Api, darkroom: Terminal, tmp_path: Path, line: str
) -> None:
    code, out, err = darkroom("submit", "--batch", lines_file(tmp_path, '{"prompt": "a"}', line))
    assert (code, out, api.store.all_tasks) == (ExitCode.USAGE, "", ())
    assert "line 2" in err


@pytest.mark.parametrize(
    "words",
    [
        ("submit",),
        ("submit", "x", "--batch", "-"),
        ("submit", "x", "--label", "nothing"),
        ("submit", "x", "--steps", "many"),
        ("list", "--status", "lost"),
        ("list", "--limit", "0"),
        ("frobnicate",),
        ("submit", "x", "--token", "t", "--api-key", "k"),
        ("submit", "x", "--guidance-scale", "nan"),
        ("watch", "x", "--timeout", "nan"),
        ("submit", "x", "--idempotency-key", "é"),
        ("submit", "x", "--idempotency-key", ""),
        ("submit", "x", "--idempotency-key", "a\nb"),
        ("submit", "half of a pair: \udcff"),
        ("show", "\udcff"),
        ("list", "--url", "http://me:secret@localhost"),
    ],
)
def test_half_a_command_is_a_usage_error(darkroom: Terminal, words: tuple[str, ...]) -> None:
    code, out, err = darkroom(*words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err


def test_a_finished_task_is_generated_and_written_at_once(
    api: Api, darkroom: Terminal, tmp_path: Path
) -> None:
    submit = ("a large red circle", "--idempotency-key", "k")
    task_id = darkroom("submit", *submit)[1].strip()
    api.complete(api.claim(api.stored(task_id)))
    folder = tmp_path / "pictures"
    code, out, err = darkroom("generate", *submit, "--to", str(folder))
    path = folder / f"darkroom-{task_id}-0.png"
    assert (code, out, err) == (0, f"{path}\n", f"{task_id}: completed\n")
    assert path.read_bytes() == PNG
    told = json.loads(darkroom("generate", *submit, "--to", str(folder), "--json")[1])
    assert (told["files"], told["task"]["id"]) == ([str(path)], task_id)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_submitted(
    api: Api, darkroom: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, out, err = darkroom("generate", "x", "--to", str(tmp_path / "file" / "folder"))
    assert (code, out) == (ExitCode.REFUSED, "")
    assert err.startswith("darkroom: ")
    assert str(tmp_path / "file") in err
    assert api.has_taken_nothing()


def test_how_a_task_ended_is_the_exit_code(api: Api, darkroom: Terminal) -> None:
    failed(api)
    code, out, err = darkroom("watch", "task-1")
    assert (code, out) == (ExitCode.TASK_FAILED, "")
    assert err == "task-1: failed\ndarkroom: task task-1 failed: not finite (invalid_output)\n"
    cancelled(api, "task-2")
    assert darkroom("watch", "task-2")[0] == ExitCode.TASK_CANCELLED
    assert darkroom("download", "task-2")[0] == ExitCode.TASK_CANCELLED


def test_watching_for_programs_prints_a_line_for_each_snapshot(api: Api, darkroom: Terminal) -> None:
    api.completed_task(**MINE)
    code, out, err = darkroom("watch", "task-1", "--json")
    (line,) = out.splitlines()
    assert (code, json.loads(line)["status"], err) == (0, "completed", "")


def test_who_waits_no_longer_is_told_how_the_task_stands(api: Api, darkroom: Terminal) -> None:
    queued(api)
    code, _, err = darkroom("watch", "task-1", "--timeout", "0")
    assert code == ExitCode.TIMED_OUT
    assert err.endswith("darkroom: task task-1 is queued and has not ended within 0 s\n")


def test_tasks_are_listed_newest_first(api: Api, darkroom: Terminal) -> None:
    assert darkroom("list") == (0, "No tasks.\n", "")
    for number in range(3):
        queued(api, f"task-{number}", parameters=parameters(prompt=f"evil\x1b[2J\n{number}"))
        api.clock.advance(1)
    code, out, err = darkroom("list", "--limit", "2")
    head, first, second = out.splitlines()
    assert (code, err) == (0, "There are more than 2: --limit shows them.\n")
    assert head.split() == ["ID", "SUBMITTED", "STATUS", "MODEL", "PROMPT"]
    assert first.split()[0] == "task-2"
    assert second.endswith(r"evil\x1b[2J 1")
    assert [task["id"] for task in json.loads(darkroom("list", "--json")[1])] == [
        "task-2",
        "task-1",
        "task-0",
    ]
    assert darkroom("list", "--status", "failed") == (0, "No tasks.\n", "")


def test_a_task_is_shown_whole(api: Api, darkroom: Terminal) -> None:
    api.completed_task(**MINE, labels={"team": "a"})
    code, out, err = darkroom("show", "task-1")
    known = dict(line.split("  ", 1) for line in out.splitlines())
    assert (code, err) == (0, "")
    facts = {name: value.strip() for name, value in known.items()}
    assert (facts["id"], facts["status"], facts["label team"]) == ("task-1", "completed", "a")
    assert facts["image 0"] == f"256×256, {len(PNG)} bytes, seed 12345"
    assert facts["attempt 1"] == "completed, by worker-1"
    assert json.loads(darkroom("show", "task-1", "--json")[1])["id"] == "task-1"


def test_why_a_task_failed_is_shown(api: Api, darkroom: Terminal) -> None:
    failed(api)
    assert darkroom("show", "task-1")[1].endswith("not finite (invalid_output)\n")


def test_some_are_refused_and_the_others_are_not_held_up(api: Api, darkroom: Terminal) -> None:
    queued(api)
    code, out, err = darkroom("cancel", "nobody", "task-1")
    assert (code, out) == (ExitCode.NOT_FOUND, "Task task-1 is cancelled.\n")
    assert err.startswith("nobody: Task not found (task_not_found)\n")
    assert api.stored("task-1").status is TaskStatus.CANCELLED
    assert darkroom("retry", "task-1") == (0, "Task task-1 is queued, next in line.\n", "")
    code, out, err = darkroom("retry", "task-1", "--json")
    assert (code, json.loads(out)) == (ExitCode.REFUSED, [])
    assert "invalid_transition" in err


def test_a_task_that_a_worker_holds_is_being_cancelled(api: Api, darkroom: Terminal) -> None:
    api.claimed_task(**MINE)
    assert darkroom("cancel", "task-1") == (0, "Task task-1 is being cancelled.\n", "")


def test_a_deletion_asks_first(api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(api)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, err = darkroom("delete", "task-1")
    assert (code, out.strip()) == (ExitCode.REFUSED, "")
    assert "Delete 1 tasks and their images?" in err
    assert darkroom("delete", "task-1", "--yes") == (0, "Task task-1 is deleted.\n", "")
    code, out, _ = darkroom("delete", "task-1", "--yes", "--json")
    assert (code, json.loads(out)) == (ExitCode.NOT_FOUND, {"deleted": []})


def test_images_are_downloaded_again(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    api.completed_task(**MINE)
    path = tmp_path / "darkroom-task-1-0.png"
    for _ in range(2):
        assert darkroom("download", "task-1", "--to", str(tmp_path)) == (0, f"{path}\n", "")
    assert path.read_bytes() == PNG
    told = json.loads(darkroom("download", "task-1", "--to", str(tmp_path), "--json")[1])
    assert told["files"] == [str(path)]


def test_before_the_end_there_is_nothing_to_download(api: Api, darkroom: Terminal) -> None:
    queued(api)
    assert darkroom("download", "task-1") == (
        0,
        "",
        "Task task-1 is queued, next in line: there are no images yet.\n",
    )


def test_damage_is_not_written(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    task = api.completed_task(**MINE)
    api.images.objects[task.images[0].object_name] = PNG + b"!"
    code, out, err = darkroom("download", "task-1", "--to", str(tmp_path / "pictures"))
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "image 0 of task task-1 arrived damaged" in err
    assert not (tmp_path / "pictures").exists()


def test_models_are_listed_and_shown(darkroom: Terminal) -> None:
    code, out, _ = darkroom("models")
    assert (code, out.splitlines()[1].split()[0]) == (0, "demo")
    assert "limit max_steps" in darkroom("models", "demo")[1]
    assert (
        json.loads(darkroom("models", "demo", "--json")[1]) == json.loads(darkroom("models", "--json")[1])[0]
    )
    code, _, err = darkroom("models", "nobody")
    assert (code, "on offer: demo" in err) == (ExitCode.NOT_FOUND, True)


def test_somebody_elses_task_is_not_there(api: Api, darkroom: Terminal) -> None:
    api.stored_task(user_id="ada")
    for command in ("show", "watch", "download", "cancel", "retry"):
        assert darkroom(command, "task-1")[0] == ExitCode.NOT_FOUND


def test_the_exit_codes_are_in_the_help(darkroom: Terminal) -> None:
    code, out, _ = darkroom("--help")
    assert code == 0
    assert "3: the task failed" in " ".join(out.split())
