"""`darkroom estimate` and the library's estimates, against the real application, over real HTTP."""

import json
from datetime import timedelta

from common.domain.worker_report import ModelTimes
from darkroom.cli.exit_codes import ExitCode
from tests.factories import worker_report
from tests.unit.darkroom.conftest import Terminal
from tests.unit.frontend_api.conftest import Api


def test_an_estimate_is_shown_and_nothing_submitted(api: Api, darkroom: Terminal) -> None:
    times = ModelTimes(model="demo", gpu_seconds_per_unit=2.0, sizes=())
    api.reports.publish(worker_report(times=(times,), alive_until=api.clock.now() + timedelta(seconds=60)))
    api.stored_task()
    api.clock.advance(0.1)
    code, out, err = darkroom("estimate", "a red circle", "--steps", "10")
    known = dict(line.split("  ", 1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert known["waiting before it"].strip() == "1"
    assert known["drawing"].strip().endswith("s of a GPU")
    assert "in nine of ten cases" in out
    assert len(api.store.all_tasks) == 1
    told = json.loads(darkroom("estimate", "a red circle", "--steps", "10", "--json")[1])
    assert (told["feasible"], told["price"], told["queue_position"]) == (True, None, 1)


def test_what_nobody_can_draw_is_said(darkroom: Terminal) -> None:
    code, out, _ = darkroom("estimate", "a red circle")
    assert code == 0
    assert "no worker that serves the model 'demo' is alive" in out


def test_what_would_be_refused_is_refused(darkroom: Terminal) -> None:
    code, _, err = darkroom("estimate", "a red circle", "--steps", "5000")
    assert (code, "/steps" in err) == (ExitCode.USAGE, True)
