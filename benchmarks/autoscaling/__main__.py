"""Regenerate docs/images/autoscaling.svg."""

from pathlib import Path

from benchmarks.autoscaling.picture import picture

PICTURE = Path(__file__).parents[2] / "docs/images/autoscaling.svg"

if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(f"drawn: {PICTURE.relative_to(Path.cwd())}")
