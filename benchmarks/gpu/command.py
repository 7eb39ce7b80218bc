"""Measure this machine's GPU with the step engine and with stock diffusers.

The models have the architectures of published checkpoints at full size and random weights, so
nothing is downloaded. The most important figures come first, and each is written as soon as it is
measured. Without a GPU the CPU is measured; use `--model tiny` there.
"""

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.architectures import ARCHITECTURES, Architecture
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.cases import Case, Kind, planned
from benchmarks.gpu.measurements import Measurements, NotMeasurableError, torch_versions
from benchmarks.gpu.pack import pack
from benchmarks.gpu.report import JSON_FILE, MARKDOWN_FILE, Report, Row
from gpu_subscriber.engine.devices import Device, is_device_lost, is_out_of_memory
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.models.model_provenance import software_versions

MEMORY_FILES = Path("/dev/shm")


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code: 1 if a measurement failed."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if min(asked.batches) < 2:
        parser.error("--batches must be 2 or more each: 1 is always measured")
    if asked.pack is not None:
        packed = pack(asked.pack, python=asked.python, leave_out=asked.leave_out)
        print(
            f"packed {packed.megabytes:.0f} MB into {asked.pack}. On the GPU machine: sh {asked.pack.name}/run.sh"
        )
        return 0
    return measure(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="end after about this time; default: 8")
    parser.add_argument(
        "--model",
        nargs="+",
        choices=sorted(ARCHITECTURES),
        default=["sdxl"],
        metavar="NAME",
        help=f"any of {', '.join(ARCHITECTURES)}, in this order; default: sdxl. flux needs 48 GB of the GPU's "
        "memory and 34 GB for its files",
    )
    parser.add_argument(
        "--batches",
        nargs="+",
        type=int,
        default=[2, 4, 8],
        metavar="N",
        help="images that share a step; default: 2 4 8. 1 is always measured",
    )
    parser.add_argument(
        "--steps", type=int, default=30, help="denoising steps of an image; default: 30. Nothing is scaled"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="default: auto, a GPU if there is one",
    )
    parser.add_argument(
        "--cpu-threads", type=int, metavar="N", help="threads on a CPU; default: as many as it may use"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("gpu-benchmark"),
        metavar="DIR",
        help=f"the folder for {JSON_FILE} and {MARKDOWN_FILE}; default: gpu-benchmark",
    )
    parser.add_argument(
        "--pack",
        type=Path,
        metavar="DIR",
        help="measure nothing: write this program and the packages that it needs, except torch, into a folder. "
        "Its run.sh takes the other options. It needs Python with pip on x86-64 Linux, and no network",
    )
    parser.add_argument(
        "--python",
        default="3.12",
        metavar="VERSION",
        help="the Python version of the machine for --pack; default: 3.12",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="NAME",
        help="packages that the machine for --pack has, such as numpy pillow; smaller by their size",
    )
    return parser


@torch.no_grad()
def measure(asked: argparse.Namespace) -> int:
    """Measure all models, and write the report after each case."""
    budget = Budget(seconds=60 * asked.minutes)
    device = Device.chosen(EngineSettings(models=(), device=asked.device, cpu_threads=asked.cpu_threads))
    report = Report(folder=asked.output, about=_about(asked, device))
    rate: float | None = None
    for name in asked.model:
        architecture = ARCHITECTURES[name]
        with tempfile.TemporaryDirectory(dir=_scratch(architecture)) as scratch:
            print(f"creating {architecture.spec.title} with random weights", flush=True)
            spec = architecture.saved(Path(scratch) / name, device=device.torch_device, dtype=device.dtype)
            measurements = Measurements(
                spec=spec,
                device=device,
                budget=budget,
                steps=asked.steps,
                max_batch=max(asked.batches),
                cpu_threads=asked.cpu_threads,
                rate=rate,
            )
            measurements.release()  # the pipeline that was saved
            first = [Case(kind=Kind.MATRIX_RATE)] if rate is None else []
            for case in (*first, *planned(name, architecture.sides, sorted(asked.batches))):
                report.add(_row(measurements, case))
            measurements.release()
            rate = measurements.rate
    print(report.as_markdown())
    failed = [row for row in report.rows if row.missing is not None and row.missing.startswith(_FAILED)]
    return 1 if failed else 0


_FAILED = "it failed: "


def _row(measurements: Measurements, case: Case) -> Row:
    """Measure a case. An error ends this case only, unless the device is lost."""
    if measurements.budget.left == 0:
        return Row(case=case, missing="the time was spent")
    print(f"{measurements.budget.left:4.0f} s left: {case.name}", file=sys.stderr, flush=True)
    try:
        return Row(case=case, figures=measurements.of(case))
    except NotMeasurableError as reason:
        return Row(case=case, missing=str(reason))
    except Exception as error:
        if is_device_lost(error):
            raise
        missing = f"{_FAILED}{type(error).__name__}: {str(error)[:200]}"
        if is_out_of_memory(error):
            missing = "it needs more memory than the device has"
    # Outside the `except` block, which pins tensors.
    measurements.release()
    return Row(case=case, missing=missing)


def _about(asked: argparse.Namespace, device: Device) -> dict[str, Any]:
    return {
        "device": device.name,
        "precision": str(device.dtype).removeprefix("torch."),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "software": ", ".join(
            f"{name} {each}" for name, each in (software_versions() | torch_versions()).items()
        ),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": asked.steps,
        "minutes": asked.minutes,
    }


def _scratch(architecture: Architecture) -> Path | None:
    """Return a folder in memory if the model's files fit half of it, else None for the usual one."""
    if not MEMORY_FILES.is_dir():
        return None
    return MEMORY_FILES if shutil.disk_usage(MEMORY_FILES).free > 2e9 * architecture.gigabytes else None
