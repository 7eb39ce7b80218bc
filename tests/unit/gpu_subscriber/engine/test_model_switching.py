"""Two models that take turns in a real engine process, with Runs of both in progress."""

from pathlib import Path
from statistics import mean

from gpu_subscriber.engine.messages import EngineReady, Shutdown
from tests.unit.gpu_subscriber.engine.driven_engine import spec
from tests.unit.gpu_subscriber.engine.test_engine_process import Child, settings_for, start
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

SWITCHES = 9


def resident_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * 4096


def test_memory_does_not_grow_with_switches(tmp_path: Path) -> None:
    folders = {
        name: tiny_stable_diffusion(tmp_path / name, seed=seed, block_out_channels=(128, 256))
        for seed, name in enumerate("ab")
    }
    # In another format than the files', so that the weights are the process's own memory.
    models = tuple(spec(name, source=str(folder), dtype="bfloat16") for name, folder in folders.items())
    weights = sum(file.stat().st_size for file in folders["a"].rglob("*.safetensors")) / 2
    child = Child(
        settings_for(folders["a"], models=models, loaded_models=1, model_switch_patience_seconds=0.0)
    )
    try:
        child.next(EngineReady)
        for name in "ab":
            child.pipe.send(start(name, model=name, steps=1000))
        resident = []
        for _ in range(SWITCHES):
            child.next(EngineReady)
            resident.append(resident_bytes(child.process.pid or 0))
        growth = mean(resident[-3:]) - mean(resident[1:4])
        assert growth < weights, "a copy that stays at each switch would add five"
    finally:
        child.pipe.send(Shutdown())
        child.end()
