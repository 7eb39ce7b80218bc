"""Compare the autoscaling policy with Google's published ones in a simulated cluster.

docs/operating/autoscaling.md reports the results.

python -m benchmarks autoscaling    the tables
python -m benchmarks.autoscaling    docs/images/autoscaling.svg
"""

from benchmarks.autoscaling.report import run

__all__ = ["run"]
