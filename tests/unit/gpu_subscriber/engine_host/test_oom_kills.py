"""The kernel's count of OOM kills, from a control group's files in both versions' formats."""

import os
from pathlib import Path

import pytest

from gpu_subscriber.engine_host.oom_kills import oom_kills

V2 = "low 0\nhigh 12\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": V2}, 2),
        ({"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/pod/box/memory.events": V2}, 2),
        ({"proc/self/cgroup": "0::/../of/the/host\n", "sys/fs/cgroup/memory.events": V2}, 2),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/box\n0::/\n",
                "sys/fs/cgroup/memory/box/memory.oom_control": V1,
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/of/the/host\n",
                "sys/fs/cgroup/memory/memory.oom_control": V1,
            },
            5,
        ),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": "low 0\n"}, None),
        ({}, None),
    ],
    ids=["v2", "v2 nested", "v2 of the host", "v1", "v1 of the host", "unreadable", "old kernel", "no /proc"],
)
def test_oom_count_is_read_from_the_cgroup(tmp_path: Path, files: dict[str, str], count: int | None) -> None:
    assert oom_kills(machine(tmp_path, files)) == count


def test_oom_count_of_this_machine_is_a_number_or_none() -> None:
    count = oom_kills()
    assert count is None or count >= 0
    assert count is not None or not os.access("/sys/fs/cgroup/memory.events", os.R_OK)
