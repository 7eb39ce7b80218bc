"""Run all or some benchmarks and print their reports. All take about ten minutes."""

import argparse
import importlib
import os
import platform

from local_stack.loopback import no_proxy_environment

BENCHMARKS = (
    "service_tax",
    "submit_latency",
    "submission_cost",
    "refused_bodies",
    "slow_callers",
    "open_streams",
    "eta_calibration",
    "browser_latency",
    "engine_batching",
    "checkpoint_cost",
    "telemetry_cost",
    "autoscaling",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; default: all"
    )
    names = parser.parse_args().names or BENCHMARKS
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"unknown benchmarks: {', '.join(sorted(unknown))}. Available: {', '.join(BENCHMARKS)}")
    os.environ.update(no_proxy_environment(os.environ))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in names:
        print(f"\n{name}", flush=True)
        for line in importlib.import_module(f"benchmarks.{name}").run():
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
