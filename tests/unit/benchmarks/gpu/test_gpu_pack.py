"""The packed benchmark has everything that it imports, besides torch."""

import sys
from importlib.metadata import packages_distributions

import grimp
from packaging.utils import canonicalize_name

from benchmarks.gpu.pack import OPTIONAL, SOURCES, needed_packages


def test_pack_has_every_package_that_the_command_imports() -> None:
    graph = grimp.build_graph(*SOURCES, include_external_packages=True, cache_dir=None)
    imported = {name.split(".")[0] for name in graph.find_upstream_modules("benchmarks.gpu.command")}
    outside = imported - set(SOURCES) - set(sys.stdlib_module_names) - {"torch", *OPTIONAL}
    assert outside
    providers = packages_distributions()
    packed = needed_packages(python="3.12")
    missing = {name for name in outside if packed.isdisjoint(map(canonicalize_name, providers.get(name, [])))}
    assert not missing


def test_pack_leaves_out_torch_and_what_only_torch_needs() -> None:
    packed = needed_packages(python="3.12")
    assert packed.isdisjoint({"torch", "sympy", "networkx", "nvidia-cublas"})
