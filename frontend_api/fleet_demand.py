"""How many workers a pool's tasks ask for. Pure: the policy that the autoscaler follows, and what its simulation runs.

- What waits, and what is left of what is drawn, is to be worked off within a target once the workers are there.
- A worker that draws counts as one, however little it has left: whoever shrinks the fleet to this takes no work away.
- There are never more workers than tasks, for a task cannot be shared.
- Anything that has not ended is worth one worker at least: zero is said only of a pool without a single task.
"""

TARGET_SECONDS = 220.0
"""Within what time a pool is to work off its tasks. Less buys waiting time with GPU hours: see docs/autoscaling.md."""


def workers_demanded(
    *, gpu_seconds: float, tasks: int, busy_workers: int, target_seconds: float = TARGET_SECONDS
) -> float:
    """The workers that a pool should have, as a fraction to be rounded up.

    `gpu_seconds` are what one worker would draw at all that has not ended, as predicted; `tasks` how many have not
    ended, waiting or drawn; `busy_workers` how many workers draw at them.
    """
    return min(max(gpu_seconds / target_seconds, busy_workers, 1.0), tasks)
