"""An entry that promises more than its pipeline has: each program exits with one statement of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_NOWHERE = "127.0.0.1:1"
_PROGRAMS = {
    "api": [
        *("gunicorn", "--bind", "127.0.0.1:0", "--config", "frontend_api/gunicorn_conf.py"),
        "frontend_api.wsgi:build_app()",
    ],
    "worker": ["gpu_subscriber"],
    "local stack": ["local_stack", "up"],
}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A catalog whose two entries offer a sampler that FLUX does not obey."""
    folder = tmp_path / "model"
    (folder / "scheduler").mkdir(parents=True)
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = {"_class_name": "FluxPipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    entry = {"title": "", "family": "flux", "source": "model", "samplers": ["ddim"]}
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"models": [{**entry, "name": name} for name in ("first", "second")]}))
    return file


@pytest.mark.parametrize("program", _PROGRAMS)
def test_program_states_each_problem_of_the_catalog_once(catalog: Path, program: str) -> None:
    environment = {
        **os.environ,
        "DARKROOM_MODEL_CATALOG": str(catalog),
        "FIRESTORE_EMULATOR_HOST": _NOWHERE,
        "PUBSUB_EMULATOR_HOST": _NOWHERE,
        "STORAGE_EMULATOR_HOST": f"http://{_NOWHERE}",
    }
    ended = subprocess.run(
        [sys.executable, "-m", *_PROGRAMS[program]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert said.count("does not obey the samplers ddim") == 2, said
    assert [said.count(f"models/{number}: ") for number in (0, 1)] == [1, 1]
    assert "Traceback" not in said
