"""darkroom submit, generate, watch, and the commands for tasks and models."""

import io
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from common.domain.task import Failure, Task, TaskStatus
from darkroom.cli import options
from darkroom.cli.exit_codes import ExitCode
from darkroom.retrying import RetryPolicy
from frontend_api.identity.emulator_tokens import unsigned_token
from local_stack.loopback import free_port
from terminal import Terminal
from tests.factories import parameters, worker_report
from tests.unit.frontend_api.conftest import PNG, PROJECT, Api, signed_in_as

OWNED: dict[str, Any] = {"user_id": "olga"}


@pytest.fixture
def no_worker() -> None:
    """Requested by tests of the output without a live worker."""


@pytest.fixture(autouse=True)
def live_worker(api: Api, request: pytest.FixtureRequest) -> None:
    if "no_worker" not in request.fixturenames:
        api.reports.publish(worker_report(alive_until=api.clock.now() + timedelta(days=1)))


def queued(api: Api, task_id: str = "task-1", **changes: Any) -> Task:
    return api.stored_task(**OWNED, task_id=task_id, **changes)


def cancelled(api: Api, task_id: str = "task-1") -> Task:
    return api.store.update(queued(api, task_id).id, lambda task: task.cancelled(api.clock.now()))


def failed(api: Api) -> Task:
    claimed = api.claimed_task(**OWNED)
    claim, failure = claimed.claim, Failure(code="invalid_output", message="not finite", retryable=False)
    assert claim is not None
    return api.store.update(claimed.id, lambda task: task.failed(claim, failure, api.clock.now()))


def test_submit_prints_the_task_id(api: Api, darkroom: Terminal) -> None:
    code, out, err = darkroom(
        "submit", "a large red circle", "--steps", "4", "--seed", "7", "--label", "team=a", "--label", "x=y=z"
    )
    (task,) = api.store.all_tasks
    assert (code, out, err) == (0, f"{task.id}\n", "")
    assert (task.parameters.steps, task.parameters.seed, task.labels) == (4, 7, {"team": "a", "x": "y=z"})


@pytest.mark.usefixtures("no_worker")
def test_submit_warns_when_no_worker_serves_the_model(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    warning = "No live worker serves the model demo: the task waits until one does.\n"
    code, out, err = darkroom("submit", "a large red circle")
    assert (code, out, err) == (0, f"{api.store.all_tasks[0].id}\n", warning)
    code, out, err = darkroom("submit", "a large red circle", "--json")
    assert (code, json.loads(out)["model_served"], err) == (0, False, warning)
    code, _, err = darkroom("submit", "--batch", lines_file(tmp_path, '{"prompt": "a"}', '{"prompt": "b"}'))
    assert (code, err) == (0, warning)


@pytest.mark.usefixtures("no_worker")
def test_watch_warns_when_no_worker_serves_the_model(api: Api, darkroom: Terminal) -> None:
    queued(api)
    code, _, err = darkroom("watch", "task-1", "--timeout", "1")
    assert code == ExitCode.TIMED_OUT
    assert err.startswith("task-1: queued, next in the queue, no live worker serves the model demo\n")
    code, out, err = darkroom("generate", "a large red circle", "--to", "/tmp", "--timeout", "1")
    assert (code, out, "no live worker serves the model demo" in err) == (ExitCode.TIMED_OUT, "", True)


@pytest.mark.usefixtures("no_worker")
def test_models_and_queue_show_unserved_models(api: Api, darkroom: Terminal) -> None:
    head, row = (re.split("  +", line) for line in darkroom("models")[1].splitlines())
    assert dict(zip(head, row, strict=True))["WORKERS"] == "0"
    assert "No live worker serves: demo\n" in darkroom("queue")[1]


def test_submit_json_is_the_task_of_the_api(api: Api, darkroom: Terminal) -> None:
    code, out, _ = darkroom("submit", "a large red circle", "--idempotency-key", "k", "--json")
    body = json.loads(out)
    read = api.client.get(
        body["urls"]["self"],
        headers={"Authorization": f"Bearer {unsigned_token('olga', project_id=PROJECT)}"},
    )
    assert (code, body) == (0, read.json)
    assert darkroom("submit", "a large red circle", "--idempotency-key", "k") == (0, f"{body['id']}\n", "")


def test_submit_names_field_and_limit_of_a_refusal(darkroom: Terminal) -> None:
    code, out, err = darkroom("submit", "a large red circle", "--steps", "5000", "--width", "100")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "  /steps: must be between 1 and 100, got 5000\n" in err
    assert "  /width: must be a multiple of 64, got 100\n" in err


def lines_file(folder: Path, *lines: str) -> str:
    path = folder / "lines.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_submit_batch_creates_one_task_per_line(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
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


def test_submit_batch_continues_after_a_refused_line(
    api: Api, darkroom: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"prompt": "a", "steps": 5000}\n{"prompt": "b"}\n'))
    code, out, err = darkroom("submit", "--batch", "-", "--json")
    (task,) = api.store.all_tasks
    assert code == ExitCode.USAGE
    assert [task["id"] for task in json.loads(out)] == [task.id]
    assert err.startswith("line 1: Parameters rejected")
    assert "/steps: must be between 1 and 100, got 5000" in err


UNREADABLE_FILES = {
    "Latin-1": ('{"prompt": "groß"}'.encode("latin-1"), "line 1 is not UTF-8"),
    "Latin-1 in line 3": (b'{"prompt": "a"}\n\n{"prompt": "\xe9"}\n', "line 3 is not UTF-8"),
    "UTF-16": ('{"prompt": "a"}'.encode("utf-16"), "line 1 is not UTF-8"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1 is not UTF-8"),
    "zero bytes": (b"\x00" * 100, "line 1 is not JSON"),
    "NaN": (b'{"prompt": "a", "guidance_scale": NaN}', "line 1 contains NaN, which is not JSON"),
    "1e999": (
        b'{"prompt": "a", "guidance_scale": 1e999}',
        "line 1 contains 1e999, which is too large for a number",
    ),
    "lone surrogate": (b'{"prompt": "a\\ud83d"}', "line 1: /prompt: must be valid Unicode"),
    "deep nesting": (b'{"prompt": "a", "labels": ' + b"[" * 100_000, "line 1 is nested too deeply"),
    "endless digits": (
        b'{"prompt": "a", "seed": ' + b"9" * 5_000 + b"}",
        "line 1 contains a number of 5000 digits",
    ),
    "no JSON": (b"no JSON", "line 1 is not JSON"),
    "a list": (b'{"prompt": "a"}\n[]', "line 2 must be a JSON object with a string `prompt`"),
    "no prompt": (b"{}", "line 1 must be a JSON object"),
    "prompt that is no text": (b'{"prompt": 5}', "line 1 must be a JSON object"),
    "idempotency key that is no text": (
        b'{"prompt": "a", "idempotency_key": 5}',
        "line 1: the Idempotency-Key must be",
    ),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE_FILES.values(), ids=UNREADABLE_FILES)
def test_submit_batch_refuses_an_unreadable_file_before_sending(
    api: Api, darkroom: Terminal, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    code, out, err = darkroom("submit", "--batch", str(path))
    assert (code, out, api.store.all_tasks) == (ExitCode.USAGE, "", ())
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_submit_batch_accepts_a_byte_order_mark(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes('\ufeff{"prompt": "größer"}\r\n'.encode())
    assert darkroom("submit", "--batch", str(path))[0] == 0
    assert [task.parameters.prompt for task in api.store.all_tasks] == ["größer"]


def test_submit_batch_recovers_unknown_outcomes_with_its_key(
    api: Api, darkroom: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_RETRIES", RetryPolicy(max_retries=0))
    file = lines_file(
        tmp_path, *['{"prompt": "a"}'] * 3, "", '{"prompt": "b", "steps": 5000}', '{"prompt": "c"}'
    )
    api.store.loses_answers = True
    code, out, err = darkroom("submit", "--batch", file)
    assert (code, out, len(api.store.all_tasks)) == (ExitCode.UNAVAILABLE, "", 4)
    assert "line 5: Parameters rejected" in err
    found = re.search(
        r"The outcome of lines 1-3, 6 is unknown: .*\ncommand with --idempotency-key (\S+): it returns", err
    )
    assert found is not None
    api.store.loses_answers = False
    _, out, _ = darkroom("submit", "--batch", file, "--idempotency-key", found[1])
    assert [line.split("\t")[0] for line in out.splitlines()] == ["1", "2", "3", "6"]
    assert (len(api.store.all_tasks), len(api.queue.published)) == (4, 4)


def test_submit_recovers_an_unknown_outcome_with_its_key(
    api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_RETRIES", RetryPolicy(max_retries=0))
    api.store.loses_answers = True
    code, out, err = darkroom("submit", "a circle")
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    found = re.search(r"The outcome is unknown: .*\n--idempotency-key (\S+): it creates", err)
    assert found is not None
    api.store.loses_answers = False
    (task,) = api.store.all_tasks
    assert darkroom("submit", "a circle", "--idempotency-key", found[1])[:2] == (0, f"{task.id}\n")
    assert len(api.store.all_tasks) == 1


def test_submit_batch_outcome_is_known_when_nothing_was_sent(
    darkroom: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_RETRIES", RetryPolicy(max_retries=0))
    nowhere = ("--url", f"http://127.0.0.1:{free_port()}")
    code, _, err = darkroom("submit", "--batch", lines_file(tmp_path, *['{"prompt": "a"}'] * 250), *nowhere)
    assert code == ExitCode.UNAVAILABLE
    assert err.startswith("lines 1-250: ")
    assert "unknown" not in err


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
        ("submit", "lone surrogate: \udcff"),
        ("show", "\udcff"),
        ("list", "--url", "http://me:secret@localhost"),
        ("list", "--url", "nonsense"),
        ("list", "--token", "é"),
    ],
)
def test_invalid_command_line_is_a_usage_error(darkroom: Terminal, words: tuple[str, ...]) -> None:
    code, out, err = darkroom(*words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err


def test_generate_saves_the_images_of_a_finished_task(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    submit = ("a large red circle", "--idempotency-key", "k")
    task_id = darkroom("submit", *submit)[1].strip()
    api.complete(api.claim(api.stored(task_id)))
    folder = tmp_path / "pictures"
    code, out, err = darkroom("generate", *submit, "--to", str(folder))
    path = folder / f"darkroom-{task_id}-0.png"
    assert (code, out, err) == (0, f"{path}\n", f"{task_id}: completed\n")
    assert path.read_bytes() == PNG
    body = json.loads(darkroom("generate", *submit, "--to", str(folder), "--json")[1])
    assert (body["files"], body["task"]["id"]) == ([str(path)], task_id)


def test_generate_refuses_an_unwritable_folder_before_submitting(
    api: Api, darkroom: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, out, err = darkroom("generate", "x", "--to", str(tmp_path / "file" / "folder"))
    assert (code, out) == (ExitCode.REFUSED, "")
    assert (
        err == f"darkroom: {tmp_path / 'file' / 'folder'}: images cannot be saved here: it is not a folder\n"
    )
    assert api.has_taken_nothing()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_generate_refuses_a_folder_without_files_before_submitting(api: Api, darkroom: Terminal) -> None:
    code, out, err = darkroom("generate", "x", "--to", "/proc")
    assert (code, out) == (ExitCode.REFUSED, "")
    assert err.startswith("darkroom: /proc: images cannot be saved here: ")
    assert api.has_taken_nothing()


def test_exit_code_shows_the_terminal_state(api: Api, darkroom: Terminal) -> None:
    failed(api)
    code, out, err = darkroom("watch", "task-1")
    assert (code, out) == (ExitCode.TASK_FAILED, "")
    assert err == "task-1: failed\ndarkroom: task task-1 failed: not finite (invalid_output)\n"
    cancelled(api, "task-2")
    assert darkroom("watch", "task-2")[0] == ExitCode.TASK_CANCELLED
    assert darkroom("download", "task-2")[0] == ExitCode.TASK_CANCELLED


def test_watch_json_prints_one_line_per_snapshot(api: Api, darkroom: Terminal) -> None:
    api.completed_task(**OWNED)
    code, out, err = darkroom("watch", "task-1", "--json")
    (line,) = out.splitlines()
    assert (code, json.loads(line)["status"], err) == (0, "completed", "")


def test_watch_timeout_reports_the_status(api: Api, darkroom: Terminal) -> None:
    queued(api)
    code, _, err = darkroom("watch", "task-1", "--timeout", "0")
    assert code == ExitCode.TIMED_OUT
    assert "darkroom: task task-1 did not finish within 0 s (status: queued)\n" in err
    assert "  Watch it: darkroom watch task-1\n" in err


def test_list_is_newest_first(api: Api, darkroom: Terminal) -> None:
    assert darkroom("list") == (0, "No tasks.\n", "")
    for number in range(3):
        queued(api, f"task-{number}", parameters=parameters(prompt=f"evil\x1b[2J\n{number}"))
        api.clock.advance(1)
    code, out, err = darkroom("list", "--limit", "2")
    head, first, second = out.splitlines()
    assert (code, err) == (0, "Only the first 2 are shown: increase --limit to see more.\n")
    assert head.split() == ["ID", "SUBMITTED", "STATUS", "MODEL", "PROMPT"]
    assert first.split()[0] == "task-2"
    assert second.endswith(r"evil\x1b[2J 1")
    assert [task["id"] for task in json.loads(darkroom("list", "--json")[1])] == [
        "task-2",
        "task-1",
        "task-0",
    ]
    assert darkroom("list", "--status", "failed") == (0, "No tasks.\n", "")


def test_show_prints_all_facts(api: Api, darkroom: Terminal) -> None:
    api.completed_task(**OWNED, labels={"team": "a"})
    code, out, err = darkroom("show", "task-1")
    facts = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert (facts["id"], facts["status"], facts["label team"]) == ("task-1", "completed", "a")
    assert facts["image 0"] == f"256×256, {len(PNG)} bytes, seed 12345"
    assert facts["attempt 1"] == "completed, by worker-1"
    assert json.loads(darkroom("show", "task-1", "--json")[1])["id"] == "task-1"


def test_show_prints_the_failure(api: Api, darkroom: Terminal) -> None:
    failed(api)
    assert darkroom("show", "task-1")[1].endswith("not finite (invalid_output)\n")


def test_cancel_and_retry_continue_after_a_refusal(api: Api, darkroom: Terminal) -> None:
    queued(api)
    code, out, err = darkroom("cancel", "missing", "task-1")
    assert (code, out) == (ExitCode.NOT_FOUND, "Task task-1: cancelled\n")
    assert err.startswith("missing: Task not found (task_not_found)\n")
    assert api.stored("task-1").status is TaskStatus.CANCELLED
    assert darkroom("retry", "task-1") == (0, "Task task-1: queued, next in the queue\n", "")
    code, out, err = darkroom("retry", "task-1", "--json")
    assert (code, json.loads(out)) == (ExitCode.REFUSED, [])
    assert "invalid_transition" in err


def test_label_changes_the_tasks_of_a_filter(api: Api, darkroom: Terminal) -> None:
    for number in range(3):
        api.stored_task(**OWNED, task_id=f"task-{number}", labels={"team": "a"})
    api.stored_task(**OWNED, task_id="other")
    code, out, err = darkroom("label", "--label", "team=a", "--set", "team=b", "--yes")
    assert (code, len(out.splitlines()), err) == (0, 3, "")
    assert [task.id for task in api.store.all_tasks if task.labels == {"team": "b"}] == [
        f"task-{number}" for number in range(3)
    ]


def test_cancel_of_a_processing_task_is_in_progress(api: Api, darkroom: Terminal) -> None:
    api.claimed_task(**OWNED)
    assert darkroom("cancel", "task-1") == (0, "Task task-1: being cancelled\n", "")


def test_delete_asks_for_confirmation(api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(api)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, err = darkroom("delete", "task-1")
    assert (code, out.strip()) == (ExitCode.REFUSED, "")
    assert "Delete 1 task with all images?" in err
    assert darkroom("delete", "task-1", "--yes") == (0, "Task task-1 was deleted.\n", "")
    code, out, _ = darkroom("delete", "task-1", "--yes", "--json")
    assert (code, json.loads(out)) == (ExitCode.NOT_FOUND, {"deleted": []})


def test_delete_keeps_a_task_that_the_filter_no_longer_selects(
    api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        api.stored_task(**OWNED, task_id=f"task-{number}")
        api.client.post(f"/v1/tasks/task-{number}/cancel", headers=signed_in_as("olga"))

    def retry_before_the_answer(*_: object, **__: object) -> bool:
        answer = api.client.post("/v1/tasks/task-0/retry", headers=signed_in_as("olga"))
        return answer.status_code == 202

    monkeypatch.setattr(typer, "confirm", retry_before_the_answer)
    assert darkroom("delete", "--status", "cancelled") == (0, "Task task-1 was deleted.\n", "")
    assert api.stored("task-0").status is TaskStatus.QUEUED


def test_download_can_be_repeated(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    api.completed_task(**OWNED)
    path = tmp_path / "darkroom-task-1-0.png"
    for _ in range(2):
        assert darkroom("download", "task-1", "--to", str(tmp_path)) == (0, f"{path}\n", "")
    assert path.read_bytes() == PNG
    body = json.loads(darkroom("download", "task-1", "--to", str(tmp_path), "--json")[1])
    assert body["files"] == [str(path)]


def test_download_of_a_queued_task_saves_nothing(api: Api, darkroom: Terminal) -> None:
    queued(api)
    assert darkroom("download", "task-1") == (
        0,
        "",
        "Task task-1 has no images yet. Status: queued, next in the queue.\n",
    )


def test_download_does_not_save_a_damaged_image(api: Api, darkroom: Terminal, tmp_path: Path) -> None:
    task = api.completed_task(**OWNED)
    api.images.objects[task.images[0].object_name] = PNG + b"!"
    code, out, err = darkroom("download", "task-1", "--to", str(tmp_path / "pictures"))
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "image 0 of task task-1 was damaged in transit" in err
    assert not (tmp_path / "pictures").exists()


def test_models_are_listed_and_shown(darkroom: Terminal) -> None:
    code, out, _ = darkroom("models")
    assert (code, out.splitlines()[1].split()[0]) == (0, "demo")
    assert "limit max_steps" in darkroom("models", "demo")[1]
    assert (
        json.loads(darkroom("models", "demo", "--json")[1]) == json.loads(darkroom("models", "--json")[1])[0]
    )
    code, _, err = darkroom("models", "missing")
    assert (code, "available models: demo" in err) == (ExitCode.NOT_FOUND, True)


def test_tasks_of_other_callers_are_not_found(api: Api, darkroom: Terminal) -> None:
    api.stored_task(user_id="ada")
    for command in ("show", "watch", "download", "cancel", "retry"):
        assert darkroom(command, "task-1")[0] == ExitCode.NOT_FOUND


def test_bulk_commands_change_only_the_tasks_of_the_filter(api: Api, darkroom: Terminal) -> None:
    queued(api, "a", labels={"set": "1"})
    queued(api, "b", labels={"set": "2"})
    cancelled(api, "c")
    assert darkroom("list", "--label", "set=1", "--json")[1].count('"id"') == 1
    code, out, _ = darkroom("cancel", "--label", "set=1", "--yes")
    assert (code, out) == (0, "Task a: cancelled\n")
    assert darkroom("cancel", "--all", "--yes")[1] == "Task b: cancelled\n"
    assert darkroom("label", "--label", "set=2", "--set", "round=2", "--remove", "set", "--yes")[0] == 0
    assert api.stored("b").labels == {"round": "2"}
    assert darkroom("retry", "--label", "round=2", "--yes")[1].startswith("Task b: queued")
    code, out, _ = darkroom("delete", "--status", "cancelled", "--yes")
    assert (code, set(out.splitlines())) == (0, {"Task a was deleted.", "Task c was deleted."})
    assert [task.id for task in api.store.all_tasks] == ["b"]


def test_filters_by_time_are_local_time_without_an_offset(api: Api, darkroom: Terminal) -> None:
    queued(api)
    noon = api.stored("task-1").created_at
    after, before = (noon + timedelta(hours=1)).isoformat(), (noon - timedelta(hours=1)).isoformat()
    assert darkroom("list", "--since", after)[1] == darkroom("list", "--until", before)[1] == "No tasks.\n"
    assert "task-1" in darkroom("list", "--since", before, "--until", after)[1]
    local = noon.astimezone().replace(tzinfo=None)
    assert "task-1" in darkroom("list", "--since", local.isoformat(timespec="seconds"))[1]


def test_bulk_command_asks_with_the_number_of_tasks(
    api: Api, darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(api, "a")
    queued(api, "b")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, _, err = darkroom("cancel", "--status", "queued")
    assert (code, "Cancel 2 tasks?" in err) == (ExitCode.REFUSED, True)
    assert {task.status for task in api.store.all_tasks} == {TaskStatus.QUEUED}


@pytest.mark.parametrize("words", [["cancel"], ["delete", "a", "--all"], ["retry", "a", "--label", "x=y"]])
def test_bulk_command_needs_either_ids_or_a_filter(darkroom: Terminal, words: list[str]) -> None:
    code, _, err = darkroom(*words)
    assert (code, "give either ids, or a filter such as --label" in err) == (ExitCode.USAGE, True)


def test_bulk_command_without_tasks_changes_nothing(darkroom: Terminal) -> None:
    assert darkroom("cancel", "--all") == (0, "", "No tasks.\n")


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        (["-5 degrees, a blue star", "--steps", "4"], "-5 degrees, a blue star"),
        (["--steps", "4", "-minimal cat"], "-minimal cat"),
        (["--", "-5"], "-5"),
        (["-5", "--negative-prompt", "- blurry"], "-5"),
        (["--help me, a ship", "-m", "demo"], "--help me, a ship"),
    ],
)
def test_prompt_may_begin_with_a_dash(api: Api, darkroom: Terminal, words: list[str], prompt: str) -> None:
    code, _, err = darkroom("submit", *words)
    assert (code, err) == (0, "")
    assert api.store.all_tasks[0].parameters.prompt == prompt


def test_misspelt_option_is_no_prompt(api: Api, darkroom: Terminal) -> None:
    code, _, err = darkroom("submit", "a fox", "--stepz", "4")
    assert (code, "No such option: --stepz" in err) == (ExitCode.USAGE, True)
    assert api.has_taken_nothing()
