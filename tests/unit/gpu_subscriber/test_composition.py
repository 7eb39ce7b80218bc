"""What an operator can get wrong, and what the parent process must never load."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from common.settings import SettingsError
from gpu_subscriber.__main__ import engine_settings_of
from gpu_subscriber.settings import WorkerSettings


def test_the_defaults_fit_together() -> None:
    assert engine_settings_of(WorkerSettings()).models[0].name == "demo"


def test_a_claim_must_outlive_its_heartbeats() -> None:
    with pytest.raises(ValidationError, match="three times"):
        WorkerSettings(claim_ttl_seconds=20)


def test_a_model_that_is_not_on_offer_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="DARKROOM_MODELS: no model 'dream'"):
        engine_settings_of(WorkerSettings(models=("dream",)))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_SUBSCRIPTION", "darkroom-tasks-sdxl")
    monkeypatch.setenv("DARKROOM_MODELS", '["demo"]')
    settings = WorkerSettings()
    assert (settings.subscription, settings.models) == ("darkroom-tasks-sdxl", ("demo",))


def test_the_parent_process_never_loads_torch() -> None:
    script = (
        "import sys, gpu_subscriber.__main__; "
        "print([name for name in ('torch', 'diffusers', 'transformers', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
