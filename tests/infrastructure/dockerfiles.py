"""Parsed Dockerfiles: their stages, what they copy, and the files in the build context."""

import io
import json
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dockerfile_parse import DockerfileParser
from pathspec import PathSpec

ROOT = Path(__file__).parents[2]
DOCKERFILES = {"api": ROOT / "frontend_api" / "Dockerfile", "worker": ROOT / "gpu_subscriber" / "Dockerfile"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name (RUN, COPY and so on) and the rest of its line."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The value as a shell would split it; for the exec form, its strings."""
        if self.value.startswith("["):
            words: list[str] = json.loads(self.value)
            return words
        return shlex.split(self.value)


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY, from the build context or from an earlier stage."""

    sources: tuple[str, ...]
    target: str
    stage: str | None

    @classmethod
    def of(cls, instruction: Instruction) -> "Copy":
        flags = [word for word in instruction.words if word.startswith("--")]
        *sources, target = [word for word in instruction.words if not word.startswith("--")]
        stages = [flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")]
        return cls(tuple(sources), target, stages[0] if stages else None)


@dataclass(slots=True)
class Stage:
    """Everything from one FROM to the next."""

    base: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    @property
    def copies(self) -> list[Copy]:
        return [Copy.of(instruction) for instruction in self.all("COPY")]


def stages(image: str) -> list[Stage]:
    """Return the stages of this image's Dockerfile, in order."""
    parser = DockerfileParser(fileobj=io.BytesIO(DOCKERFILES[image].read_bytes()))
    found: list[Stage] = []
    for part in parser.structure:
        name, value = part["instruction"], part["value"]
        if name == "FROM":
            base, *alias = re.split(r"\s+AS\s+", value)
            found.append(Stage(base.removeprefix("$DOCKER_IMAGES/"), alias[0] if alias else None))
        elif name != "COMMENT" and found:  # an ARG before the first stage is for FROM
            found[-1].instructions.append(Instruction(name, value))
    return found


def build_files() -> list[PurePosixPath]:
    """Return the build context of a clean checkout: tracked files without those in .dockerignore."""
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    ignored = PathSpec.from_lines("gitignore", (ROOT / ".dockerignore").read_text().splitlines())
    return [PurePosixPath(file) for file in known if not ignored.match_file(file) and (ROOT / file).exists()]


def copied(source: str, files: list[PurePosixPath]) -> list[PurePosixPath]:
    """Return the files that a COPY of this source includes."""
    path = PurePosixPath(source.rstrip("/") or ".")
    return [file for file in files if file == path or path in file.parents]
