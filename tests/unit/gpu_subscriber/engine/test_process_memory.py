"""The allocator's settings, measured in page faults of a process of its own."""

import platform
import subprocess
import sys

import pytest

PROBE = """
import resource, sys
from gpu_subscriber.engine.process_memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def blocks():
    return [b"x" * (size * 2**20) for size in (40, 20, 60)]

blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    blocks()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(setting: str) -> int:
    command = [sys.executable, "-c", PROBE, setting]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_large_blocks_are_reused_without_page_faults() -> None:
    assert page_faults("keep") < page_faults("default") / 4
