"""Effect of one attacking caller on another caller's submissions, on the whole local stack.

The attacker holds half bodies and as many streams as it gets, sends costly bodies that are refused,
finishes tasks whose webhook receiver never responds, and reads the OpenAPI document and the
readiness, all at once. Each round compares the submissions beside it with those right before it.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measurement import percentile, ratios, spread_of
from benchmarks.whole_system import running_system, steady_submissions
from frontend_api.identity.emulator_tokens import unsigned_token

ROUNDS = 3
SUBMISSIONS = 200
PER_SECOND = 10
TARGET = 3


def run() -> Iterator[str]:
    quiet: list[list[float]] = []
    attacked: list[list[float]] = []
    reports: list[str] = []
    with running_system(workers=0) as (stack, client):
        project = stack.environment["DARKROOM_PROJECT_ID"]
        client.http.headers["Authorization"] = f"Bearer {unsigned_token('ada', project_id=project)}"
        port, token = stack.ports["api"], unsigned_token("mallory", project_id=project)
        steady_submissions(client, count=SUBMISSIONS // 2, per_second=4 * PER_SECOND)
        for _ in range(ROUNDS):
            quiet.append(steady_submissions(client, count=SUBMISSIONS, per_second=PER_SECOND))
            with _attack(port, token, reports):
                attacked.append(steady_submissions(client, count=SUBMISSIONS, per_second=PER_SECOND))
    p99s = {id(rounds): [percentile(each, 99) for each in rounds] for rounds in (quiet, attacked)}
    for name, rounds in (("quiet", quiet), ("beside the attacker", attacked)):
        median = spread_of([percentile(each, 50) for each in rounds])
        yield f"{name}: median {median.format(' ms', 1)}, p99 {spread_of(p99s[id(rounds)]).format(' ms', 1)}"
    yield f"ratio of the p99s: {ratios(p99s[id(attacked)], p99s[id(quiet)]).format()}, target below {TARGET}"
    yield f"the attacker's responses: {reports[-1]}"


@contextmanager
def _attack(port: int, token: str, reports: list[str]) -> Iterator[None]:
    argv = [sys.executable, "-m", "benchmarks.attacker", str(port), token]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "attacking\n"
        yield
        report, _ = attacker.communicate()
        reports.append(report.strip())
