"""The choice of benchmarks and of their parts on the command line."""

import importlib
import inspect

import pytest

import benchmarks.__main__ as command
from benchmarks.parts import PARTS


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """What the command would run."""
    found: list[tuple[object, object]] = []
    monkeypatch.setattr(command, "run", lambda names, parts: found.append((names, parts)))
    return found


def test_command_runs_the_chosen_parts_of_a_benchmark(runs: list[tuple[object, object]]) -> None:
    command.main(["engine_saturated", "--parts", "latency", "joining"])
    assert runs == [(["engine_saturated"], ["latency", "joining"])]


@pytest.mark.parametrize(
    "arguments",
    [["engine_saturated", "--parts", "backlog"], ["checkpoint_cost", "--parts", "x"], ["--parts", "latency"]],
)
def test_command_refuses_parts_that_a_benchmark_lacks(
    runs: list[tuple[object, object]], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert runs == []
    assert "engine_saturated: equal, mixed, widths, latency, joining" in capsys.readouterr().err


@pytest.mark.parametrize("name", PARTS)
def test_benchmark_runs_all_its_parts_by_default(name: str) -> None:
    run = importlib.import_module(f"benchmarks.{name}").run
    assert inspect.signature(run).parameters["parts"].default == PARTS[name]
