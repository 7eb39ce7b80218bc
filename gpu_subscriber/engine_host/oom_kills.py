"""The OOM kill count of this process's memory cgroup, usually that of a pod's container."""

from pathlib import Path, PurePosixPath


def oom_kills(root: Path = Path("/")) -> int | None:
    """Return the kernel's count for this cgroup and its descendants; None if it is not readable.

    Cgroups v2 have it in `memory.events`, v1 in `memory.oom_control`. Inside a container, the path
    in /proc may be the host's; the mounted hierarchy then starts at the container's own cgroup.
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
