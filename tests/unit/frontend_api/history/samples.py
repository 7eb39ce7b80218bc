"""A minute's figures for tests."""

from frontend_api.history.minutes import MinuteSample


def minute_sample(**changes: float) -> MinuteSample:
    figures: dict[str, float] = {
        "queued": 3,
        "oldest_seconds": 20.5,
        "processing": 2,
        "workers": 1,
        "completed": 4,
        "failed": 1,
        "cancelled": 0,
        "gpu_seconds": 30.25,
        "wasted_gpu_seconds": 1.5,
    }
    return MinuteSample(**figures | changes)  # type: ignore[arg-type]
