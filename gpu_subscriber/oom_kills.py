"""How often the kernel's OOM killer has struck in this process's memory cgroup: a pod's container, usually."""

from pathlib import Path, PurePosixPath


def oom_kills(root: Path = Path("/")) -> int | None:
    """The kernel's count so far, of this cgroup and those below it; None where it cannot be read.

    Control groups v2 tell it in `memory.events`, v1 in `memory.oom_control`. Inside a container the path that
    /proc names may be the host's; what is mounted there then is the container's own group.
    """
    for file in _places(root):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdecimal():
                return int(count)
    return None


def _places(root: Path) -> list[Path]:
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    places = []
    for _, controllers, path in (group.split(":", 2) for group in groups if group.count(":") >= 2):
        inside = PurePosixPath(path).relative_to("/") if path.startswith("/") else PurePosixPath(path)
        if "memory" in controllers.split(","):
            mounted, file = root / "sys/fs/cgroup/memory", "memory.oom_control"
        elif controllers == "":
            mounted, file = root / "sys/fs/cgroup", "memory.events"
        else:
            continue
        places += [mounted / inside / file, mounted / file]
    return places
