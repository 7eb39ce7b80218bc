"""The autoscaling policy against Google's published ones, in a simulated cluster. docs/autoscaling.md has the results.

python -m benchmarks autoscaling    the tables
python -m benchmarks.autoscaling    docs/images/autoscaling.svg
"""

from benchmarks.autoscaling.report import run

__all__ = ["run"]
