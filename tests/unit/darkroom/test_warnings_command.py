"""Warnings of a task in the library and in the command, against the real application over fakes, over real HTTP."""

import json
from pathlib import Path

from tests.unit.darkroom.conftest import Terminal
from tests.unit.frontend_api.conftest import Api

LONG = "word " * 31
CUT = "The prompt has 31 tokens and the model reads 30."


def test_submit_prints_warnings_to_standard_error(api: Api, darkroom: Terminal) -> None:
    code, out, err = darkroom("submit", LONG)
    (task,) = api.store.all_tasks
    assert (code, out) == (0, f"{task.id}\n")
    assert f"Warning: {CUT}" in err
    assert err.rstrip().endswith("(prompt_truncated)")


def test_submit_of_a_batch_names_the_line(darkroom: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(f"{json.dumps({'prompt': 'a red circle'})}\n{json.dumps({'prompt': LONG})}\n")
    code, _, err = darkroom("submit", "--batch", str(file))
    assert (code, f"Line 2: Warning: {CUT}" in err, "Line 1" in err) == (0, True, False)


def test_show_and_estimate_list_warnings(api: Api, darkroom: Terminal) -> None:
    darkroom("submit", LONG)
    (task,) = api.store.all_tasks
    for arguments in (("show", task.id), ("estimate", LONG)):
        code, out, _ = darkroom(*arguments)
        assert code == 0
        assert CUT in " ".join(out.split())
    assert "warnings" in json.loads(darkroom("estimate", LONG, "--json")[1])


def test_models_show_how_many_tokens_they_read(darkroom: Terminal) -> None:
    _, out, _ = darkroom("models", "demo")
    assert ["max_prompt_tokens", "30"] in [line.split() for line in out.splitlines()]
