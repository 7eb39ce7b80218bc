"""Find the emulators' jars: a given path, an installed Google Cloud CLI, or the pinned download."""

import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_stack.emulators.downloads import (
    FIRESTORE_EMULATOR_DOWNLOAD,
    JAVA_NEEDED_BY_DOWNLOADS,
    PUBSUB_EMULATOR_DOWNLOAD,
    PinnedDownload,
    extract_jar,
    fetch,
)
from local_stack.emulators.java import java_needed_by
from local_stack.errors import DownloadError, EmulatorMissingError

_OLDEST_JAVA = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorProduct:
    """One of Google's emulators: how to find it, and its display name."""

    title: str
    jar_variable: str
    main_class: str
    cloud_cli_glob: str
    cloud_cli_component: str
    download: PinnedDownload


PUBSUB = EmulatorProduct(
    title="Pub/Sub emulator",
    jar_variable="PUBSUB_EMULATOR_JAR",
    main_class="com.google.cloud.pubsub.testing.v1.Main",
    cloud_cli_glob="platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    cloud_cli_component="pubsub-emulator",
    download=PUBSUB_EMULATOR_DOWNLOAD,
)
FIRESTORE = EmulatorProduct(
    title="Firestore emulator",
    jar_variable="FIRESTORE_EMULATOR_JAR",
    main_class="com.google.cloud.datastore.emulator.firestore.CloudFirestore",
    cloud_cli_glob="platform/cloud-firestore-emulator/cloud-firestore-emulator*.jar",
    cloud_cli_component="cloud-firestore-emulator",
    download=FIRESTORE_EMULATOR_DOWNLOAD,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorJar:
    """A jar on disk, and the Java release that it needs."""

    path: Path
    main_class: str
    java_needed: int


def downloads_cache() -> Path:
    """Create the download cache, shared by all checkouts of this user.

    Without a writable home, it is in the Python environment.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "darkroom" / "emulators"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(sys.prefix) / "emulators"
    return cache


def find_jar(
    product: EmulatorProduct,
    *,
    downloads_folder: Path | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> EmulatorJar:
    """Return the jar to run. Raises EmulatorMissingError, also for an invalid given path."""
    if given := os.environ.get(product.jar_variable):
        if not Path(given).is_file():
            raise EmulatorMissingError(f"{product.jar_variable} must be the path of a file (got {given}).")
        return _inspect(product, Path(given))
    for installed in _installed(product):
        return _inspect(product, installed)
    folder = downloads_folder or downloads_cache()
    try:
        jar = fetch(product.download, folder, notify)
        if jar.suffix == ".zip":
            jar = extract_jar(jar, folder)
    except DownloadError as error:
        raise EmulatorMissingError(
            f"The {product.title} was not found. {error} Install it with "
            f"`gcloud components install {product.cloud_cli_component}` (or, if a package manager installed gcloud, "
            f"the package google-cloud-cli-{product.cloud_cli_component}), or set {product.jar_variable} to the path "
            "of a jar."
        ) from error
    return _inspect(product, jar, at_least=JAVA_NEEDED_BY_DOWNLOADS)


def java_needed(product: EmulatorProduct) -> int:
    """Return the Java release of the product's jar, or of the download."""
    given = os.environ.get(product.jar_variable)
    for path in [Path(given)] if given else _installed(product):
        return _inspect(product, path).java_needed
    return JAVA_NEEDED_BY_DOWNLOADS


def _inspect(product: EmulatorProduct, path: Path, at_least: int = _OLDEST_JAVA) -> EmulatorJar:
    try:
        needed = java_needed_by(path, product.main_class)
    except (zipfile.BadZipFile, KeyError) as error:
        raise EmulatorMissingError(f"{path} is not the {product.title}: {error}.") from error
    return EmulatorJar(path=path, main_class=product.main_class, java_needed=max(needed, at_least))


def _installed(product: EmulatorProduct) -> Iterator[Path]:
    for root in _cloud_cli_roots():
        yield from sorted(root.glob(product.cloud_cli_glob), reverse=True)


def _cloud_cli_roots() -> Iterator[Path]:
    if root := os.environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(root)
    if gcloud := shutil.which("gcloud"):
        yield Path(gcloud).resolve().parent.parent
    yield Path.home() / "google-cloud-sdk"
