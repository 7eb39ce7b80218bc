"""darkroom estimate, and the warnings of commands."""

import json
import re
from datetime import timedelta
from pathlib import Path

from common.domain.worker_report import ModelTimes
from terminal import Terminal
from tests.factories import worker_report
from tests.unit.frontend_api.conftest import Api

LONG = "word " * 31
CUT = "The prompt has 31 tokens and the model reads 30."


def test_estimate_shows_facts_and_submits_nothing(api: Api, darkroom: Terminal) -> None:
    times = ModelTimes(model="demo", gpu_seconds_per_unit=2.0, sizes=())
    api.reports.publish(worker_report(times=(times,), alive_until=api.clock.now() + timedelta(seconds=60)))
    api.stored_task()
    api.clock.advance(0.1)
    code, out, err = darkroom("estimate", "a red circle", "--steps", "10")
    facts = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert facts["tasks ahead"] == "1"
    assert facts["GPU time"].endswith(" s")
    assert facts["finished in"].endswith("(90th percentile)")
    assert len(api.store.all_tasks) == 1
    result = json.loads(darkroom("estimate", "a red circle", "--steps", "10", "--json")[1])
    assert (result["feasible"], result["price"], result["queue_position"]) == (True, None, 1)


def test_estimate_says_when_no_worker_serves_the_model(darkroom: Terminal) -> None:
    code, out, _ = darkroom("estimate", "a red circle")
    assert code == 0
    assert "no live worker serves the model 'demo'" in out


def test_submit_prints_warnings_to_standard_error(api: Api, darkroom: Terminal) -> None:
    code, out, err = darkroom("submit", LONG)
    (task,) = api.store.all_tasks
    assert (code, out) == (0, f"{task.id}\n")
    assert f"Warning: {CUT}" in err
    assert err.rstrip().endswith("(prompt_truncated)")


def test_submit_batch_names_the_line_of_a_warning(darkroom: Terminal, tmp_path: Path) -> None:
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


def test_models_show_max_prompt_tokens(darkroom: Terminal) -> None:
    _, out, _ = darkroom("models", "demo")
    assert ["max_prompt_tokens", "30"] in [line.split() for line in out.splitlines()]


def test_models_list_and_details_show_what_a_model_takes(darkroom: Terminal) -> None:
    header, row = darkroom("models")[1].splitlines()
    assert header.split() == ["NAME", "TITLE", "FAMILY", "WORKERS", "STEPS", "GUIDANCE", "SAMPLERS"]
    assert {"stable_diffusion", "shared", "classifier_free"} <= set(row.split())
    details = dict(line.split(maxsplit=1) for line in darkroom("models", "demo")[1].splitlines())
    shown = {name: details[name] for name in ("steps", "guidance", "negative_prompt", "inputs")}
    assert shown == {
        "steps": "shared",
        "guidance": "classifier_free",
        "negative_prompt": "yes",
        "inputs": "text, image, mask",
    }
    assert json.loads(darkroom("models", "demo", "--json")[1])["adapters"] == []
