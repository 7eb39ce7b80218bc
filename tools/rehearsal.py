"""Rehearse the image builds without a container engine: each Dockerfile's steps in a Debian root.

    python -m tools.rehearsal [api|worker]     needs root, debootstrap and Node; `make images-check`

Each stage starts from a clean checkout and a fresh copy of its base, contains only what its
Dockerfile adds, and runs its steps in a chroot. Then the last stage's command runs as its user
on a read-only root and must respond. The bases are Debian's own Python and this machine's Node
instead of the images in FROM; there is no kernel isolation between containers. The rehearsal finds
files that were not copied and packages that were not installed.
"""

import argparse
import contextlib
import http.client
import os
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.infrastructure.dockerfiles import (
    DOCKERFILES,
    ROOT,
    Copy,
    Instruction,
    Stage,
    build_files,
    copied,
    stages,
)

_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_SYSTEM_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
_IN_FOLDER = 'cd "$0" && exec "$@"'
_TIMEOUT_SECONDS = 300.0
_UNREACHABLE_SERVICES = {
    "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
    "DARKROOM_DEVICE": "cpu",
    "DARKROOM_MEASURE_AT_START": "false",
}
_RESPONSES = {
    "api": (("/healthz", b"{"), ("/", b"<script"), ("/openapi.json", b"openapi"), ("/docs", b"<html")),
    "worker": (("/healthz", b'"alive": true'), ("/readyz", b'"models": ["demo"]')),
}
_PORT_VARIABLE = {"api": "PORT", "worker": "DARKROOM_HEALTH_PORT"}


@dataclass(slots=True)
class BuildRoot:
    """A stage: its root, and the values of ENV, ARG, WORKDIR and USER."""

    root: Path
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": _SYSTEM_PATH})
    folder: str = "/"
    user: str = "0:0"

    def inside(self, path: str) -> Path:
        return self.root / str(Path(self.folder, path)).lstrip("/")

    def command(self, argv: list[str], *, binds: list[Path], read_only: bool = False) -> list[str]:
        """Wrap this command in a mount namespace, which ends with the command."""
        root = shlex.quote(str(self.root))
        lines = [
            f"mount --bind {root} {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
        ]
        for path in binds:
            inner = self.root / str(path).lstrip("/")
            inner.mkdir(parents=True, exist_ok=True) if path.is_dir() else _touch(inner)
            lines.append(f"mount --bind {shlex.quote(str(path))} {shlex.quote(str(inner))}")
        if read_only:
            lines += [f"mount -o remount,ro,bind {root}", f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp"]
        lines.append(
            f"exec chroot --userspec={self.user} {root} /bin/sh -c '{_IN_FOLDER}' {self.folder} \"$@\""
        )
        return ["unshare", "--mount", "sh", "-euc", "\n".join(lines), "sh", *argv]


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


class Rehearsal:
    """Builds the stages of one image, one after another."""

    def __init__(self, image: str, roots: Path, bases: dict[str, Path], binds: list[Path]) -> None:
        self._image, self._folder, self._bases, self._binds = image, roots, bases, binds
        self._files = build_files()
        self._roots: dict[str | None, BuildRoot] = {}

    def build(self) -> BuildRoot:
        stage_root = None
        for number, stage in enumerate(stages(self._image)):
            stage_root = self._roots[stage.name] = BuildRoot(self._folder / str(number))
            _copy_tree(self._bases[stage.base.partition(":")[0]], stage_root.root)
            for instruction in stage.instructions:
                self._step(stage, stage_root, instruction)
        assert stage_root is not None
        return stage_root

    def _step(self, stage: Stage, stage_root: BuildRoot, instruction: Instruction) -> None:
        value = instruction.value
        if instruction.name != "RUN":  # in RUN, the shell expands variables
            value = string.Template(value).safe_substitute(stage_root.variables)
        match instruction.name:
            case "ARG" | "ENV":
                pairs = [word.partition("=") for word in Instruction("", value).words]
                stage_root.variables |= {name: given for name, _, given in pairs}
            case "WORKDIR":
                stage_root.folder = value
                stage_root.inside(".").mkdir(parents=True, exist_ok=True)
            case "USER":
                stage_root.user = value
            case "COPY":
                self._copy(stage_root, Copy.of(Instruction("COPY", value)))
            case "RUN":
                self._print(f"{stage.name or 'last stage'}: {value}")
                command = stage_root.command(["/bin/sh", "-c", value], binds=self._binds)
                subprocess.run(
                    command,
                    check=True,
                    env={"HOME": "/root", **_package_client_settings(), **stage_root.variables},
                )
            case _:
                pass  # metadata of the image builds nothing

    def _copy(self, stage_root: BuildRoot, copy: Copy) -> None:
        several = len(copy.sources) > 1 or copy.target.endswith("/")
        for source in copy.sources:
            if copy.stage is not None:
                origin = self._roots[copy.stage].inside(source)
                _copy_tree(origin, stage_root.inside(copy.target))
                continue
            for file in copied(source, self._files):
                target = stage_root.inside(copy.target)
                if str(file) != source:
                    target /= file.relative_to(source)
                elif several:
                    target /= file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, target)

    def serve(self, stage_root: BuildRoot) -> None:
        (command,) = stages(self._image)[-1].all("CMD")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {
            **stage_root.variables,
            **_UNREACHABLE_SERVICES,
            _PORT_VARIABLE[self._image]: str(port),
        }
        self._print(f"as {stage_root.user}: {' '.join(command.words)}")
        process = subprocess.Popen(
            stage_root.command(command.words, binds=[], read_only=True),
            env=environment,
            start_new_session=True,
        )
        try:
            for path, expected in _RESPONSES[self._image]:
                _wait_for_response(f"http://127.0.0.1:{port}{path}", expected, process)
                self._print(f"{path} responds")
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            self._print(f"exited with {code} after SIGTERM")
            if code != 0:
                raise SystemExit(f"{self._image}: exit code {code}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _print(self, line: str) -> None:
        sys.stdout.write(f"[{self._image}] {line}\n")
        sys.stdout.flush()


def _package_client_settings() -> dict[str, str]:
    """Return the settings with which this machine's package clients reach their registries."""
    return {
        name: value for name, value in os.environ.items() if name.lower().startswith(("pip_", "npm_config_"))
    }


def _copy_tree(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "--archive", "--reflink=auto", f"{source}/.", str(target)], check=True)


def _wait_for_response(url: str, expected: bytes, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    body = b""
    while expected not in body:
        if process.poll() is not None:
            raise SystemExit(f"exited with {process.returncode} before {url} responded")
        if time.monotonic() > deadline:
            raise SystemExit(f"{url} did not return {expected!r}: {body[:400]!r}")
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                body = response.read()
        except urllib.error.HTTPError as error:  # a worker that is not ready returns its state
            body = error.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.5)


def _bases(work: Path) -> dict[str, Path]:
    """Create a root with Debian's Python, and a copy with this machine's Node."""
    python, node = work / "debian", work / "debian-with-node"
    if not (python / "usr/local/bin/pip").exists():
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", python], check=True
        )
        for name, program in (("python", "python3"), ("pip", "pip3")):
            (python / "usr/local/bin" / name).symlink_to(f"/usr/bin/{program}")
        for marker in python.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()  # the Python in the images is not managed by another tool
    if not node.exists():
        _copy_tree(python, node)
        interpreter = shutil.which("node")
        if interpreter is None:
            raise SystemExit("The rehearsal needs Node to build the page.")
        shutil.copy2(interpreter, node / "usr/local/bin/node")
        packages = subprocess.check_output(["npm", "root", "--global"], text=True).strip()
        _copy_tree(Path(packages) / "npm", node / "usr/local/lib/node_modules/npm")
        (node / "usr/local/bin/npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    for root in (python, node):
        shutil.copy2("/etc/resolv.conf", root / "etc/resolv.conf")
    return {"python": python, "node": node}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", nargs="?", choices=sorted(DOCKERFILES), help="default: both")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".darkroom" / "images", help="the folder of the roots"
    )
    parser.add_argument(
        "--bind",
        type=Path,
        action="append",
        default=[],
        help="a file or folder of this machine to mount for the steps",
    )
    arguments = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise SystemExit("The rehearsal needs root (for chroot) and debootstrap.")
    arguments.work.mkdir(parents=True, exist_ok=True)
    work = arguments.work.resolve()
    bases = _bases(work)
    for image in [arguments.image] if arguments.image else sorted(DOCKERFILES):
        with tempfile.TemporaryDirectory(prefix=f"{image}-", dir=work) as roots:
            rehearsal = Rehearsal(image, Path(roots), bases, arguments.bind)
            rehearsal.serve(rehearsal.build())


if __name__ == "__main__":
    main()
