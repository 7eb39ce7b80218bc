"""Run all or some benchmarks and print their reports. All take about twenty minutes.

A benchmark of several parts runs some of them with `--parts`, each in less than three minutes.
`gpu` and `fleet` are commands with options of their own: `python -m benchmarks gpu --help`.
"""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence

from benchmarks.parts import PARTS

BENCHMARKS = (
    "service_tax",
    "submit_latency",
    "submission_cost",
    "costly_bodies",
    "slow_callers",
    "open_streams",
    "attack",
    "eta_calibration",
    "browser_latency",
    "first_visit",
    "long_list",
    "engine_batching",
    "engine_saturated",
    "checkpoint_cost",
    "telemetry_cost",
    "autoscaling",
)
COMMANDS = ("gpu", "fleet")


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        return importlib.import_module(f"benchmarks.{arguments[0]}.command").main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; default: all"
    )
    parts_of = "; ".join(f"{name}: {', '.join(parts)}" for name, parts in PARTS.items())
    parser.add_argument("--parts", nargs="+", metavar="PART", help=f"of one benchmark; {parts_of}")
    given = parser.parse_args(arguments)
    names, parts = given.names or BENCHMARKS, given.parts
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"unknown benchmarks: {', '.join(sorted(unknown))}. Available: {', '.join(BENCHMARKS)}")
    if parts and (len(names) != 1 or not set(parts) <= set(PARTS.get(names[0], ()))):
        parser.error(f"--parts: unknown parts, or not of one benchmark. Available: {parts_of}")
    run(names, parts)
    return 0


def run(names: Sequence[str], parts: Sequence[str] | None = None) -> None:
    """Print the reports of these benchmarks; `parts` are those of the only one."""
    from local_stack.loopback import no_proxy_environment  # noqa: PLC0415 (the commands run without it)

    os.environ.update(no_proxy_environment(os.environ))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in names:
        print(f"\n{name}", flush=True)
        chosen = {"parts": parts} if parts else {}
        for line in importlib.import_module(f"benchmarks.{name}").run(**chosen):
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
