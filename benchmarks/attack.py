"""Effect of one attacking caller on another caller's submissions, on the whole local stack.

The attacker holds half bodies and as many streams of a task as it gets. It sends costly bodies that
are refused, finishes tasks whose webhook receiver never responds, and reads the OpenAPI document and
the readiness, all at once. In the part `lists` some of the streams are of its list, whose tasks it
changes. Each round compares the submissions beside it with those right before it.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks.measurement import percentile, percentiles, ratios
from benchmarks.parts import PARTS
from benchmarks.whole_system import running_system, steady_submissions
from frontend_api.identity.emulator_tokens import unsigned_token
from frontend_api.settings import ApiSettings

ROUNDS = 3
SUBMISSIONS = 150
PER_SECOND = 10
TARGET = 3
LIMITS = {
    name: str(ApiSettings.model_fields[name.removeprefix("DARKROOM_").lower()].default)
    for name in (
        "DARKROOM_MAX_LIST_STREAMS_PER_CALLER",
        "DARKROOM_MAX_REFUSED_PER_MINUTE",
        "DARKROOM_MAX_REQUESTS_PER_MINUTE",
        "DARKROOM_MAX_WAITING_PER_CALLER",
        "DARKROOM_WEBHOOK_FIRST_PAUSE_SECONDS",
        "DARKROOM_WEBHOOK_LONGEST_PAUSE_SECONDS",
    )
}
"""The defaults of a deployment. Those of the local stack are far higher, because one caller uses it all."""


def run(*, parts: Sequence[str] = PARTS["attack"]) -> Iterator[str]:
    for part in parts:
        yield from _measured(part)


def _measured(part: str) -> Iterator[str]:
    quiet: list[list[float]] = []
    attacked: list[list[float]] = []
    reports: list[str] = []
    with running_system(workers=0, extra_environment=LIMITS) as (stack, client):
        port, token = (
            stack.ports["api"],
            partial(unsigned_token, project_id=stack.environment["DARKROOM_PROJECT_ID"]),
        )

        def measured(caller: str) -> list[float]:
            client.http.headers["Authorization"] = f"Bearer {token(caller)}"
            return steady_submissions(client, count=SUBMISSIONS, per_second=PER_SECOND)

        measured("warm-up")
        for number in range(ROUNDS):
            quiet.append(measured(f"quiet-{number}"))  # new callers, so that no quota is reached
            with _attack(port, token(f"mallory-{number}"), part, reports):
                attacked.append(measured(f"attacked-{number}"))
            yield f"{part} {number + 1}: quiet {percentiles(quiet[-1])}; attacked {percentiles(attacked[-1])}"
            yield f"the attacker's responses: {reports[-1]}"
    p99s, quiet_p99s = ([percentile(each, 99) for each in rounds] for rounds in (attacked, quiet))
    yield f"{part}: ratio of the p99s {ratios(p99s, quiet_p99s).format()}, target below {TARGET}"


@contextmanager
def _attack(port: int, token: str, part: str, reports: list[str]) -> Iterator[None]:
    argv = [sys.executable, "-m", "benchmarks.attacker", str(port), token, part]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "attacking\n"
        yield
        report, _ = attacker.communicate()
        reports.append(report.strip())
