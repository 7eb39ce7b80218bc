"""Checks of the images without a build: no file or package is missing, every version is pinned."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import PurePosixPath

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pathspec import PathSpec

from tests.infrastructure.dockerfiles import DOCKERFILES, ROOT, build_files, copied, stages
from tests.infrastructure.kustomizations import POOLS, pool

ENTRY_POINTS = {
    "api": ("frontend_api.wsgi", "frontend_api.gunicorn_conf"),
    "worker": ("gpu_subscriber.__main__", "gpu_subscriber.engine.engine_process"),
}
PACKAGES = {"api": ("common", "frontend_api"), "worker": ("common", "gpu_subscriber")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OWN_NAME = PROJECT["project"]["name"]
BUILT_BY_THE_PAGE_STAGE = PurePosixPath("frontend_api/web_client/dist")

each_image = pytest.mark.parametrize("image", sorted(DOCKERFILES))


def files_in(image: str) -> set[PurePosixPath]:
    """Return the files of the checkout inside the sources from which the image's package is built."""
    files = build_files()
    (stage,) = [stage for stage in stages(image) if stage.name == "packages"]
    return {
        file
        for copy in stage.copies
        if copy.stage is None
        for source in copy.sources
        for file in copied(source, files)
    }


@each_image
def test_base_images_are_pinned_by_tag_and_digest(image: str) -> None:
    known = {stage.name for stage in stages(image)}
    bases = [stage.base for stage in stages(image) if stage.base not in known]
    assert bases
    assert [
        base for base in bases if not re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+@sha256:[0-9a-f]{64}", base)
    ] == []


def test_both_images_use_the_same_python_image() -> None:
    assert stages("api")[-1].base == stages("worker")[-1].base


@each_image
def test_copied_files_exist_in_a_clean_checkout(image: str) -> None:
    files, before = build_files(), list[str | None]()
    for stage in stages(image):
        for copy in stage.copies:
            if copy.stage is None:
                assert not [source for source in copy.sources if not copied(source, files)]
            else:
                assert copy.stage in before
        before.append(stage.name)


def modules_that_run(image: str) -> set[PurePosixPath]:
    """Return the files of every module that the entry points import, including late imports."""
    graph = grimp.build_graph("common", "frontend_api", "gpu_subscriber", include_external_packages=False)
    entries = set(ENTRY_POINTS[image])
    modules = entries.union(*(graph.find_upstream_modules(entry) for entry in entries))
    paths = [ROOT / module.replace(".", "/") for module in modules]
    files = [path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in paths]
    return {PurePosixPath(file.relative_to(ROOT)) for file in files}


@each_image
def test_all_imported_modules_are_copied(image: str) -> None:
    assert modules_that_run(image) - files_in(image) == set()


@each_image
def test_data_files_are_declared_as_package_data(image: str) -> None:
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    for package in PACKAGES[image]:
        globs = PathSpec.from_lines("gitignore", declared.get(package, []))
        others = [
            file.relative_to(package)
            for file in files_in(image)
            if file.parts[0] == package and file.suffix != ".py" and "web_client" not in file.parts
        ]
        assert [
            str(file) for file in others if not globs.match_file(str(file)) and file.name != "py.typed"
        ] == []
    assert PathSpec.from_lines("gitignore", declared["frontend_api"]).match_file("web_client/dist/index.html")


def test_page_is_built_into_the_folder_that_the_api_serves() -> None:
    (packages,) = [stage for stage in stages("api") if stage.name == "packages"]
    pages = [copy for copy in packages.copies if copy.stage == "page"]
    assert [PurePosixPath(copy.target) for copy in pages] == [BUILT_BY_THE_PAGE_STAGE]
    assert not copied(str(BUILT_BY_THE_PAGE_STAGE), build_files())


def installed_by(extra: str) -> set[str]:
    """Return the distributions that `pip install .[extra]` installs, with all dependencies."""
    found: set[str] = set()
    queue = [Requirement(f"{OWN_NAME}[{extra}]")]
    while queue:
        requirement = queue.pop()
        for needed in needed_by(requirement):
            name = canonicalize_name(needed.name)
            if name not in found or name == OWN_NAME:
                found.add(name)
                queue.append(needed)
    return found


def needed_by(requirement: Requirement) -> list[Requirement]:
    """Return the requirements of this distribution, with these extras, on this machine."""
    if requirement.name == OWN_NAME:
        by_extra = PROJECT["project"]["optional-dependencies"]
        lines = [
            *PROJECT["project"]["dependencies"],
            *(line for name in requirement.extras for line in by_extra[name]),
        ]
    else:
        lines = requires(requirement.name) or []
    environments = [{"extra": extra} for extra in ("", *requirement.extras)]
    return [
        needed
        for needed in map(Requirement, lines)
        if needed.marker is None or any(needed.marker.evaluate(environment) for environment in environments)
    ]


def imported_by(file: PurePosixPath) -> set[str]:
    """Return the top-level names of everything that this module imports, at any depth."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]
    return {name.partition(".")[0] for name in names}


IMPORTED_WHERE_INSTALLED = {"torchao"}
"""Packages of extras that the images do not have; the code works without them."""


@each_image
def test_all_imports_are_installed(image: str) -> None:
    there, brought_by = installed_by(image), packages_distributions()
    known = sys.stdlib_module_names | {*PACKAGES[image]} | IMPORTED_WHERE_INSTALLED
    missing = {
        (str(file), name)
        for file in modules_that_run(image)
        for name in imported_by(file) - known
        if not {canonicalize_name(distribution) for distribution in brought_by[name]} & there
    }
    assert missing == set()


@each_image
def test_last_stage_runs_as_the_manifests_user(image: str) -> None:
    (user,) = stages(image)[-1].all("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.value)
    for name in POOLS if image == "worker" else []:
        security = pool(name).pod["spec"]["securityContext"]
        assert user.value == f"{security['runAsUser']}:{security['runAsGroup']}"


@each_image
def test_command_is_in_exec_form_so_that_it_receives_signals(image: str) -> None:
    (command,) = stages(image)[-1].all("CMD")
    assert command.value.startswith("[")
    assert not stages(image)[-1].all("ENTRYPOINT")


@each_image
def test_dockerfiles_contain_no_index_and_no_secret(image: str) -> None:
    text = DOCKERFILES[image].read_text()
    assert not re.search(
        r"--(extra-)?index-url|--trusted-host|PIP_(EXTRA_)?INDEX_URL|https?://(?!127\.)", text
    )
