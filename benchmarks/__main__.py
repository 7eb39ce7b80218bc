"""`make bench`: run every benchmark, or those named, and print the report.

python -m benchmarks                 all of them, about ten minutes
python -m benchmarks service_tax     one
"""

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
    """Run the selected benchmarks, independently of each other, and print their reports."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; default: all"
    )
    chosen = parser.parse_args().names or BENCHMARKS
    if unknown := set(chosen) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    os.environ.update(no_proxy_environment(os.environ))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in chosen:
        print(f"\n{name}", flush=True)
        for line in importlib.import_module(f"benchmarks.{name}").run():
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
