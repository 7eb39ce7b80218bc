"""The examples work as documented, against the whole system."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROMPT = "a large green triangle on a white background"


def run(system: System, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    assert system.stack.page_url is not None
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "DARKROOM_URL": system.stack.page_url}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


@functools.cache
def compiled(example: Path) -> Path:
    """Check the types of a TypeScript example, and compile it for versions of Node that cannot run it."""
    modules = ROOT / "node_modules"
    if not (modules / ".bin" / "tsc").exists():
        pytest.skip("no TypeScript: `make web` installs it")
    folder = Path(tempfile.mkdtemp())
    (folder / "package.json").write_text('{"type": "module"}')
    options = {
        "--target": "es2022", "--module": "esnext", "--moduleResolution": "bundler", "--types": "node",
        "--typeRoots": str(modules / "@types"), "--outDir": str(folder),
    }  # fmt: skip
    arguments = [word for option in options.items() for word in option]
    command = [
        str(modules / ".bin" / "tsc"),
        "--strict",
        "--noUncheckedIndexedAccess",
        *arguments,
        str(example),
    ]
    # Outside of the repository: tsc refuses files on its command line where a tsconfig.json exists.
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert checked.returncode == 0, checked.stdout
    return folder / f"{example.stem}.js"


def drawing(example: str) -> list[str]:
    if example.endswith(".ts"):
        node = shutil.which("node") or pytest.skip(f"{example} needs Node")
        return [node, str(compiled(EXAMPLES / example))]
    program = {".py": sys.executable, ".mjs": shutil.which("node"), ".sh": shutil.which("bash")}
    needed = program[Path(example).suffix]
    if needed is None or (example == "generate.sh" and None in (shutil.which("curl"), shutil.which("jq"))):
        pytest.skip(f"{example} needs what is not installed here")
    return [needed, str(EXAMPLES / example)]


@pytest.mark.parametrize("example", ["generate.py", "generate.sh", "generate.mjs"])
def test_generate_example_writes_a_file(system: System, tmp_path: Path, example: str) -> None:
    done = run(system, tmp_path, *drawing(example), PROMPT)
    assert done.returncode == 0, done.stderr
    (name,) = done.stdout.split()
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert done.stderr.splitlines()[-1].startswith("completed ")


def test_typescript_example_writes_the_image_of_a_large_seed(system: System, tmp_path: Path) -> None:
    seed = str(2**53 + 1)
    done = run(system, tmp_path, *drawing("generate.ts"), PROMPT, seed)
    assert done.returncode == 0, done.stderr
    name, used = done.stdout.split()
    assert used == seed
    task_id = name.removeprefix("darkroom-").removesuffix("-0.png")
    assert (tmp_path / name).read_bytes() == system.client.image(task_id)
    first, *_changes, last = done.stderr.splitlines()
    assert first.startswith(f"/seed: Seed {seed} gives an image of its own.")
    assert last.startswith("completed ")


@pytest.mark.parametrize("example", ["generate.sh", "generate.mjs", "generate.ts"])
def test_generate_example_reports_a_rejection(system: System, tmp_path: Path, example: str) -> None:
    done = run(system, tmp_path, *drawing(example), " ")
    assert done.returncode != 0
    assert "/prompt: must contain a character other than white space" in done.stderr


def test_batch_example_generates_many_images(system: System, tmp_path: Path) -> None:
    done = run(system, tmp_path, *drawing("generate_many.py"), PROMPT, "1", "2", "3")
    assert done.returncode == 0, done.stderr
    drawn = dict(line.split() for line in done.stdout.splitlines())
    assert sorted(drawn) == ["1", "2", "3"]
    assert {path.name for path in tmp_path.iterdir()} == set(drawn.values())


def test_webhook_example_receives_the_final_event(system: System) -> None:
    receiver = subprocess.Popen(
        [*drawing("webhook_receiver.py"), "0"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "DARKROOM_WEBHOOK_SECRET": system.client.webhook_secrets()[0]},
    )  # fmt: skip
    assert receiver.stdout is not None
    assert receiver.stderr is not None
    stuck = threading.Timer(120, receiver.kill)
    stuck.start()
    try:
        address = next(line.split()[-1] for line in receiver.stderr if "Running on" in line)
        task_id = system.client.submit(PROMPT, steps=2, callback_url=address)
        printed = next(line for line in receiver.stdout if task_id in line)
        assert printed.split()[1:] == ["task.completed", task_id, "completed"]
        unsigned = system.client.http.post(address, content=b"{}")
        assert (unsigned.status_code, "Missing required headers" in unsigned.text) == (400, True)
    finally:
        stuck.cancel()
        receiver.kill()
        receiver.communicate()
