"""Two models that take turns in a real engine process, with Runs of both in progress."""

from pathlib import Path
from statistics import mean

from gpu_subscriber.engine.messages import EngineReady, Shutdown, WarmUpTimes
from tests.unit.gpu_subscriber.engine.driven_engine import spec
from tests.unit.gpu_subscriber.engine.test_engine_process import Child, settings_for, start
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

SWITCHES = 7


def resident_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * 4096


def test_switches_neither_leave_copies_nor_measure_again(tmp_path: Path) -> None:
    folders = {
        name: tiny_stable_diffusion(tmp_path / name, seed=seed, block_out_channels=(128, 256))
        for seed, name in enumerate("ab")
    }
    # In another format than the files', so that the weights are the process's own memory.
    models = tuple(spec(name, source=str(folder), dtype="bfloat16") for name, folder in folders.items())
    weights = sum(file.stat().st_size for file in folders["a"].rglob("*.safetensors")) / 2
    child = Child(
        settings_for(
            folders["a"],
            models=models,
            loaded_models=1,
            model_switch_patience_seconds=0.0,
            measure_at_start=True,
        )
    )
    try:
        child.next(EngineReady)
        for name in "ab":
            child.pipe.send(start(name, model=name, steps=1000))
        resident, measured = [], set[WarmUpTimes]()
        for _ in range(SWITCHES):
            measured.add(child.next(EngineReady).warm_up)
            resident.append(resident_bytes(child.process.pid or 0))
        assert len(measured) == len(models)
        growth = mean(resident[-2:]) - mean(resident[1:3])
        assert growth < weights, "a copy that stays at each switch would add four"
    finally:
        child.pipe.send(Shutdown())
        child.end()
