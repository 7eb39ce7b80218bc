"""Regenerate docs/images/autoscaling.svg."""

from pathlib import Path

from benchmarks.autoscaling.chart import chart

CHART = Path(__file__).parents[2] / "docs/images/autoscaling.svg"

if __name__ == "__main__":
    CHART.write_text(chart(), encoding="utf-8")
    print(f"written: {CHART.relative_to(Path.cwd())}")
