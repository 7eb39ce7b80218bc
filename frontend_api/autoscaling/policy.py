"""Number of workers that a pool's tasks need: the autoscaler's policy, also used by its simulation.

Pure. The rules:

- All remaining work should be done within a target time once the workers run.
- A busy worker counts as one, however little work it has left, so that a scale-down to this number
  takes no work away.
- The number never exceeds the number of tasks, because a task cannot be shared.
- Any unfinished task needs at least one worker: only a pool without tasks needs zero.
"""

TARGET_SECONDS = 220.0
"""Time within which a pool should finish its tasks.

A shorter time reduces waiting and costs more GPU hours: see docs/operating/autoscaling.md.
"""


def workers_demanded(
    *, gpu_seconds: float, tasks: int, busy_workers: int, target_seconds: float = TARGET_SECONDS
) -> float:
    """Return the number of workers that a pool should have, as a fraction to be rounded up.

    `gpu_seconds` is the predicted time that one worker would need for all unfinished tasks. `tasks`
    is the number of unfinished tasks, queued or processing. `busy_workers` is the number of workers
    that process them.
    """
    return min(max(gpu_seconds / target_seconds, busy_workers, 1.0), tasks)
