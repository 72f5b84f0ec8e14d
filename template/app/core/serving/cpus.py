"""CPUs available to this container."""

import math
import os
from pathlib import Path

# Files of a cgroup (version 2 or 1) with its CPU quota and the quota's period.
_VERSION_2 = ("cpu.max",)
_VERSION_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def available_cpus(root: Path = Path("/")) -> int:
    """Return the number of CPUs of this process, limited by the cgroup's quota (rounded up)."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([own, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> list[float]:
    """Return the quotas, in CPUs, of the cgroup and of its parents, which limit every child."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # Only Linux has cgroups.
        return []
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
            group = mount / path.lstrip("/")
            # In a container the mount may begin at its own cgroup, whatever the path says.
            for folder in {group, *group.parents} - set(mount.parents):
                quotas += _quota(folder, _VERSION_1 if controllers else _VERSION_2)
    return quotas


def _quota(folder: Path, files: tuple[str, ...]) -> list[float]:
    try:
        quota, period = " ".join((folder / file).read_text() for file in files).split()
        return [] if quota in {"max", "-1"} else [int(quota) / int(period)]
    # The root cgroup and those without the CPU controller have no quota; bad values count as none.
    except (OSError, ValueError, ZeroDivisionError):
        return []


# Read once, because reading files blocks the event loop.
CPUS = available_cpus()
